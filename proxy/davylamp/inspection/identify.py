"""Which protocol a direction's first bytes begin; ports are never asked."""

from enum import StrEnum

_METHODS = (
    b"GET ",
    b"POST ",
    b"HEAD ",
    b"PUT ",
    b"DELETE ",
    b"OPTIONS ",
    b"PATCH ",
    b"CONNECT ",
    b"TRACE ",
    b"PRI ",
)


class Opening(StrEnum):
    """What the first bytes announce."""

    TLS_CLIENT = "tls client"
    SSH = "ssh"
    HTTP_REQUEST = "http request"
    HTTP_RESPONSE = "http response"
    OTHER = "other"


_PREFIXES: tuple[tuple[bytes, Opening], ...] = (
    (b"\x16\x03", Opening.TLS_CLIENT),
    (b"SSH-", Opening.SSH),
    (b"HTTP/", Opening.HTTP_RESPONSE),
    *((method, Opening.HTTP_REQUEST) for method in _METHODS),
)
_LONGEST = max(len(prefix) for prefix, _ in _PREFIXES)
_FIRST = frozenset(prefix[0] for prefix, _ in _PREFIXES)


def identify(data: bytes) -> Opening | None:
    """Return what ``data`` (not empty) opens, or None while more bytes could still tell."""
    if data[0] not in _FIRST:
        return Opening.OTHER
    for prefix, opening in _PREFIXES:
        if data.startswith(prefix):
            return opening
    if len(data) < _LONGEST and any(prefix.startswith(data) for prefix, _ in _PREFIXES):
        return None
    return Opening.OTHER
