"""HTTP messages as mitmproxy has them, of whatever version, written as HTTP/1 for the core to read.

The core reads bytes. What mitmproxy shows was parsed already and may have been HTTP/2 or HTTP/3, so
it is written out again: heads with the fields that they had, less those that say how the message
was framed, and bodies in chunks (RFC 9112 section 7.1), whose end can be written when it is known.
Nothing that a peer chose can end a line here: a field that could is left out.
"""

import re

from mitmproxy.http import Headers, Request, Response

LAST_CHUNK = b"0\r\n\r\n"

_FRAMING = frozenset(
    (b"connection", b"content-length", b"expect", b"host", b"keep-alive", b"proxy-connection")
) | {b"te", b"trailer", b"transfer-encoding", b"upgrade"}
_METHODS = frozenset(
    ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE")
)
_FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}: [\t\x20-\x7e\x80-\xff]{0,4096}\Z")
_NOT_IN_TARGET = re.compile(rb"[^!-~]+")
_MAX_TARGET = 4096
_MAX_FIELDS = 128
_MAX_HEAD = 32 * 1024


def request_head(request: Request) -> bytes:
    """Return a request's head; its body follows in chunks.

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
        b"" if method == "CONNECT" else b"transfer-encoding: chunked\r\n",
        _fields(request.headers),
    )


def response_head(response: Response) -> bytes:
    """Return a response's head; its body follows in chunks."""
    return b"HTTP/1.1 %03d -\r\ntransfer-encoding: chunked\r\n%s" % (
        min(max(response.status_code, 100), 999),
        _fields(response.headers),
    )


def chunk(data: bytes) -> bytes:
    """Return body bytes (at least one) as a chunk."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def _fields(headers: Headers) -> bytes:
    """Return the fields that are not about framing, as far as there is room, and the head's end."""
    lines: list[bytes] = []
    room = _MAX_HEAD
    for name, value in headers.fields[:_MAX_FIELDS]:
        line = b"%s: %s" % (name, value.strip())
        room -= len(line)
        if room > 0 and name.lower() not in _FRAMING and _FIELD.match(line):
            lines.append(line + b"\r\n")
    return b"".join((*lines, b"\r\n"))
