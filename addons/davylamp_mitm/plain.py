"""Messages that tell nothing, which nearly all are: known by two questions to the pack.

An Inspector reads an HTTP message as bytes, which pays where there is something to find. Of one
that mitmproxy has whole it looks at no more than the head and at a body that is one JSON value
(`davylamp.inspection.http`, `.httphead`, `.httpbody`), so those are asked about first. What is not
plain is shown to an Inspector, whose word counts.
"""

from mitmproxy.http import Message, Request

from davylamp.inspection.framing import BLANK
from davylamp.inspection.httphead import may_tell, path_of
from davylamp.inspection.jsontext import read_objects
from davylamp.inspection.wire.http_head import split_authority
from davylamp.signatures.pack import Pack

_CODED = b"content-encoding"


def is_plain(pack: Pack, message: Message, body: bytes) -> bool:
    """Tell whether nothing of the pack is in a whole message."""
    path = ""
    if isinstance(message, Request):
        path = message.path
        if not _plain_target(pack, message):
            return False
    if _headed(pack, message) or may_tell(message.headers.fields, path):
        return False
    text = body.strip(BLANK)
    if not body or (text and text[0] not in b"{[" and not _coded(message)):
        return True
    if _coded(message):
        return False
    return not any(pack.match_message(value) for value in read_objects(text))


def _headed(pack: Pack, message: Message) -> bool:
    """Tell whether the pack has a condition that the message's head may meet."""
    heads = pack.heads
    if heads is None:
        return False
    if any(heads.asks_about(name) for name, _ in message.headers.fields):
        return True
    if not isinstance(message, Request):
        return False
    host, _ = split_authority((message.host_header or message.host).lower())
    return heads.asks_for(path_of(message.path), host)


def _plain_target(pack: Pack, request: Request) -> bool:
    host, _ = split_authority((request.host_header or request.host).lower())
    return request.path.startswith("/") and not pack.match_names("http.host", host)


def _coded(message: Message) -> bool:
    return any(name.lower() == _CODED for name, _ in message.headers.fields)
