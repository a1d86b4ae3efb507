"""HTTP messages as mitmproxy has them, of whatever version, written as HTTP/1 for the core to read.

The core reads bytes. What mitmproxy shows was parsed already and may have been HTTP/2 or HTTP/3, so
it is written out again: heads with the fields that they had, less those that say how the message
was framed; a body that is all there with its length, and one that streams in chunks (RFC 9112
section 7.1), whose end can be written when it comes. Nothing that a peer chose can end a line here:
a field that could is left out. Nor can many fields crowd out what says how the body is read.
"""

import re
from collections.abc import Sequence

from mitmproxy.http import Request, Response

from davylamp.inspection.wire.content import MAX_CODINGS

LAST_CHUNK = b"0\r\n\r\n"

_FRAMING = frozenset(
    (b"connection", b"content-length", b"expect", b"host", b"keep-alive", b"proxy-connection")
) | {b"te", b"trailer", b"transfer-encoding", b"upgrade"}
_CODING, _TYPE = b"content-encoding", b"content-type"
_BODY = frozenset((_CODING, _TYPE))
_METHODS = frozenset(
    ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE")
)
_FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}: [\t\x20-\x7e\x80-\xff]{0,4096}\r\n")
_FIELDS = re.compile(rb"(?:%s)*+" % _FIELD.pattern)
_CODING_NAME = re.compile(rb"(?!identity\Z)[!-~\x80-\xff]{1,64}", re.IGNORECASE)
_MAX_CODINGS = MAX_CODINGS + 1  # which the core finds too many to undo
_NOT_IN_TARGET = re.compile(rb"[^!-~]+")
_MAX_TARGET = 4096
_MAX_FIELDS = 128
_MAX_HEAD = 32 * 1024


def request_head(request: Request, length: int | None) -> bytes:
    """Return a request's head; ``length`` is the body's, or None where it follows in chunks.

    A method that the core does not know a message by is written as POST.
    """
    method = request.method if request.method in _METHODS else "POST"
    target = request.path if method != "CONNECT" else f"{request.host}:{request.port}"
    path = _NOT_IN_TARGET.sub(b"%20", target.encode("utf-8", "replace"))[:_MAX_TARGET]
    host = _NOT_IN_TARGET.sub(b"", (request.host_header or request.host).encode("utf-8", "replace"))
    return b"%s %s HTTP/1.1\r\nhost: %s\r\n%s%s" % (
        method.encode("ascii"),
        path or b"/",
        host[:_MAX_TARGET],
        framed(length) if length != 0 else b"",
        _fields(request.headers.fields),
    )


def response_head(response: Response, length: int | None) -> bytes:
    """Return a response's head; ``length`` as above.

    Of its fields only those that say what the body is are written: there may be many, and no
    signature asks for another.
    """
    status = min(max(response.status_code, 100), 999)
    about = [field for field in response.headers.fields if field[0].lower() in _BODY]
    return b"HTTP/1.1 %03d -\r\n%s%s" % (status, framed(length), _fields(about))


def framed(length: int | None) -> bytes:
    """Return the field that says how a body is framed."""
    if length is None:
        return b"transfer-encoding: chunked\r\n"
    return b"content-length: %d\r\n" % length


def chunk(data: bytes) -> bytes:
    """Return body bytes (at least one) as a chunk."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def _fields(fields: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return the fields that are not about framing, as far as there is room, and the head's end.

    What says how the body is read comes first: a peer may write any number of others before it.
    """
    ordered = sorted(fields, key=lambda field: field[0].lower() != _TYPE)
    others = [field for field in ordered if field[0].lower() != _CODING]
    lines: list[bytes] = []
    room = _MAX_HEAD
    for name, value in others[:_MAX_FIELDS]:
        room -= len(name) + len(value)
        if room > 0 and name.lower() not in _FRAMING:
            lines.append(b"%s: %s\r\n" % (name, value.strip()))
    text = b"".join(lines)
    if not _FIELDS.fullmatch(text):
        text = b"".join(line for line in lines if _FIELD.fullmatch(line))
    return _codings(fields) + text + b"\r\n"


def _codings(fields: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return one field with all codings of a body, in order; nothing where it has none."""
    values = b",".join(value for name, value in fields if name.lower() == _CODING)
    names = [part.strip() for part in values.split(b",")]
    codings = [name for name in names if _CODING_NAME.fullmatch(name)][:_MAX_CODINGS]
    return b"Content-Encoding: %s\r\n" % b", ".join(codings) if codings else b""
