"""Which protocol a direction's first bytes begin; ports are never asked."""

from enum import StrEnum

from davylamp.inspection.wire.proxy_protocol import SIGNATURE


class Opening(StrEnum):
    """What the first bytes announce."""

    TLS_CLIENT = "tls client"
    SSH = "ssh"
    HTTP_REQUEST = "http request"
    HTTP_RESPONSE = "http response"
    DNS = "dns"
    SOCKS = "socks"
    PROXY_HEADER = "proxy header"
    PEER = "peer"
    BINARY = "length-prefixed binary"
    WEBSOCKET = "websocket frame"
    REDIS = "redis"
    NATS = "nats"
    BEANSTALKD = "beanstalkd"
    MQTT = "mqtt"
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
# What a client of beanstalkd says first: it chooses a tube, or uses the default one.
_BEANSTALKD_COMMANDS = (b"put ", b"use ", b"watch ", b"ignore ", b"reserve", b"stats", b"list-tube")
_PREFIXES: tuple[tuple[bytes, Opening], ...] = (
    (b"\x16\x03", Opening.TLS_CLIENT),
    (b"\x15\x03", Opening.TLS_CLIENT),  # an alert may come first
    (b"SSH-", Opening.SSH),
    (b"HTTP/", Opening.HTTP_RESPONSE),
    *((method, Opening.HTTP_REQUEST) for method in _METHODS),
    (b"PROXY ", Opening.PROXY_HEADER),
    (SIGNATURE, Opening.PROXY_HEADER),
    (b"INFO {", Opening.NATS),
    *((command, Opening.BEANSTALKD) for command in _BEANSTALKD_COMMANDS),
    # Networks of Bitcoin's family whose magic begins like text: signet and Zcash.
    (b"\x0a\x03\xcf\x40", Opening.PEER),
    (b"\x24\xe9\x27\x64", Opening.PEER),
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

_LEVIN = b"\x01\x21" + b"\x01" * 6
_VERSION = b"version".ljust(12, b"\0")  # behind the magic of any network of Bitcoin's family
_SOCKS4_COMMANDS = b"\x01\x02"
_MQTT_NAMES = (b"\0\4MQ", b"\0\6MQ")
_TEXT_FRAME = 0x81  # whole, uncompressed
_LONGER = {126: 2, 127: 8}  # bytes of a length that does not fit into seven bits
_RESP_DIGITS = 4  # of how many strings a command has
_P2POOL_SOLUTION = 17  # where a message of one byte's type follows a challenge of 16 bytes


def identify(data: bytes) -> Opening | None:
    """Return what ``data`` (not empty) opens, or None while more bytes could still tell."""
    first = data[0]
    if first < 0x10 and first not in b"\t\n\r":
        return _low(first, data)
    for prefix, opening in _BY_FIRST.get(first, ()):
        if data.startswith(prefix):
            return opening
        if prefix.startswith(data):
            return None
    if first == 0x2A:
        return _redis(data)
    if first > 0x7E or (first < 0x20 and first not in b"\t\n\r"):
        return _high(first, data)
    return Opening.OTHER


def _low(first: int, data: bytes) -> Opening | None:
    """Tell protocols whose first byte is under 16: a length, a version or a type."""
    dns = _dns(data)
    if dns is not Opening.OTHER:
        return dns
    if first == 0:
        return _zero(data)
    if first in (4, 5):
        return _socks(first, data)
    if data[:8] == _LEVIN[: len(data)]:
        return Opening.PEER if len(data) >= 8 else None
    return _peer(data)


def _dns(data: bytes) -> Opening | None:
    if len(data) > 1 and data[0] << 8 | data[1] < _DNS_LEAST:
        return Opening.OTHER
    for at, mask, value in _DNS_SHAPE:
        if at >= len(data):
            return None
        if data[at] & mask != value:
            return Opening.OTHER
    return Opening.DNS if len(data) >= _DNS_HEAD else None


def _socks(first: int, data: bytes) -> Opening | None:
    """Tell SOCKS by its second byte: a command, methods to choose from, or the one chosen."""
    if len(data) < 2:
        return None
    if first == 4 and data[1] not in _SOCKS4_COMMANDS:
        return Opening.OTHER
    return Opening.SOCKS


def _zero(data: bytes) -> Opening:
    """Rule out what no message of Stratum V2, Alephium or P2Pool begins with."""
    size = len(data)
    if data[1:2] in (b"", b"\0", b"\x80"):  # Stratum V2: the extension, with a channel bit
        return Opening.BINARY
    if data[1] < 0x40 and (size < 6 or data[4] == 0 or (data[4] == 1 and data[5] <= 1)):
        return Opening.BINARY  # Alephium: a size under 4 MiB, a version, a type
    if size <= _P2POOL_SOLUTION or data[_P2POOL_SOLUTION] == 1:
        return Opening.BINARY
    return Opening.OTHER


def _high(first: int, data: bytes) -> Opening | None:
    """Tell protocols that begin with no text: SSLv2's hello (RFC 5246 E.2), peers of Bitcoin's."""
    if first & 0xF0 == 0x80 and data[2:3] in (b"", b"\1") and data[3:4] in (b"", b"\0", b"\3"):
        return Opening.TLS_CLIENT if len(data) > 3 else None
    if first == 0x10 and (mqtt := _mqtt(data)) is not Opening.OTHER:
        return mqtt
    if first == _TEXT_FRAME and (frame := _frame(data)) is not Opening.OTHER:
        return frame
    return _peer(data)


def _frame(data: bytes) -> Opening | None:
    """Tell a WebSocket's text frame that holds JSON (RFC 6455 section 5.2), its upgrade unseen."""
    if len(data) < 2:
        return None
    masked = data[1] & 0x80
    at = 2 + _LONGER.get(data[1] & 0x7F, 0) + (4 if masked else 0)
    if len(data) <= at:
        return None
    begun = data[at] ^ (data[at - 4] if masked else 0)
    return Opening.WEBSOCKET if begun in b"{[" else Opening.OTHER


def _redis(data: bytes) -> Opening | None:
    """Tell an array of strings (RESP) from other text that begins with an asterisk."""
    for length, byte in enumerate(data[1:]):
        if byte not in b"0123456789" or length == _RESP_DIGITS:
            begun = data[length + 1 : length + 4]
            if length == 0 or not b"\r\n$".startswith(begun):
                return Opening.OTHER
            return Opening.REDIS if len(begun) == 3 else None
    return None


def _mqtt(data: bytes) -> Opening | None:
    """Tell a CONNECT of MQTT: a length of one to four bytes, and the protocol's name."""
    for place in range(1, min(5, len(data))):
        if data[place] < 0x80:
            begun = data[place + 1 : place + 5]
            if not any(name.startswith(begun) for name in _MQTT_NAMES):
                return Opening.OTHER
            return Opening.MQTT if len(begun) == 4 else None
    return None if len(data) < 5 else Opening.OTHER


def _peer(data: bytes) -> Opening | None:
    if data[4:16] != _VERSION[: max(0, len(data) - 4)]:
        return Opening.OTHER
    return Opening.PEER if len(data) >= 16 else None
