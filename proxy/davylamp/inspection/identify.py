"""Which protocol a direction's first bytes begin; ports are never asked."""

from enum import StrEnum


class Opening(StrEnum):
    """What the first bytes announce."""

    TLS_CLIENT = "tls client"
    SSH = "ssh"
    HTTP_REQUEST = "http request"
    HTTP_RESPONSE = "http response"
    DNS = "dns"
    OTHER = "other"


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
_PREFIXES: tuple[tuple[bytes, Opening], ...] = (
    (b"\x16\x03", Opening.TLS_CLIENT),
    (b"SSH-", Opening.SSH),
    (b"HTTP/", Opening.HTTP_RESPONSE),
    *((method, Opening.HTTP_REQUEST) for method in _METHODS),
)
_BY_FIRST = {
    first: tuple(entry for entry in _PREFIXES if entry[0][0] == first)
    for first in {prefix[0] for prefix, _ in _PREFIXES}
}

# A DNS message over TCP: offset, mask and value of what its length and header (RFC 1035 sections
# 4.2.2 and 4.1.1) have in common: under 4 KiB, opcode 0, Z 0, one question, few records.
_DNS_SHAPE = (
    (0, 0xF0, 0),
    (4, 0x78, 0),
    (5, 0x40, 0),
    (6, 0xFF, 0),
    (7, 0xFF, 1),
    (8, 0xFF, 0),
    (10, 0xFF, 0),
    (12, 0xFF, 0),
)
_DNS_HEAD = 14
_DNS_LEAST = 17  # a header and a question for the root


def identify(data: bytes) -> Opening | None:
    """Return what ``data`` (not empty) opens, or None while more bytes could still tell."""
    first = data[0]
    if first < 0x10 and first not in b"\t\n\r":
        return _dns(data)
    for prefix, opening in _BY_FIRST.get(first, ()):
        if data.startswith(prefix):
            return opening
        if prefix.startswith(data):
            return None
    return Opening.OTHER


def _dns(data: bytes) -> Opening | None:
    if len(data) > 1 and data[0] << 8 | data[1] < _DNS_LEAST:
        return Opening.OTHER
    for at, mask, value in _DNS_SHAPE:
        if at >= len(data):
            return None
        if data[at] & mask != value:
            return Opening.OTHER
    return Opening.DNS if len(data) >= _DNS_HEAD else None
