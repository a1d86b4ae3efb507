"""A flow that its first bytes settle, seen for what it is before anything is made for it.

Nearly every connection begins with a whole GET for an ordinary page or with an ordinary
ClientHello. Reading either as the conversation that it may become makes a dozen objects which are
thrown away at once; here only what the pack asks is asked. This is an abbreviation and no second
opinion: of whatever is settled here an inspector finds the same, which is nothing
(tests/inspection/test_glance.py), and all that is not as plain as that goes to one.
"""

from typing import Literal

from davylamp.inspection.finding import AppProto
from davylamp.inspection.httphead import NO_FIELD, path_of, told_by
from davylamp.inspection.wire.http_head import simple_request
from davylamp.inspection.wire.tls import ClientHello, whole_hello
from davylamp.signatures.pack import Pack

_HANDSHAKE = 0x16  # a TLS record's first byte


type Settled = Literal[AppProto.HTTP] | ClientHello
"""One whole request without a body; or a ClientHello, after which the pack asks for nothing."""


def settled_as(pack: Pack, data: bytes) -> Settled | None:
    """Return what an originator says first, where that settles its flow and tells nothing.

    None: the bytes (not empty) have to be read by an inspector.
    """
    if pack.starts is not None and pack.starts.may_begin(data):
        return None
    if data[0] == _HANDSHAKE:
        return _plain_hello(pack, data)
    return AppProto.HTTP if _is_plain_request(pack, data) else None


def _is_plain_request(pack: Pack, data: bytes) -> bool:
    head = simple_request(data)
    if head is None or NO_FIELD.search(data):
        return False
    heads, lower = pack.heads, data.lower()
    if heads is not None and heads.of_request(path_of(head.target), head.host, data, lower):
        return False
    return not pack.match_names("http.host", head.host) and not any(told_by(head, lower))


def _plain_hello(pack: Pack, data: bytes) -> ClientHello | None:
    hello = whole_hello(data)
    if not isinstance(hello, ClientHello) or pack.certificates is not None:
        return None
    if pack.hellos is not None and pack.hellos.match(hello):
        return None
    told = any(pack.match_names("tls.sni", name) for name in hello.server_names)
    return None if told else hello
