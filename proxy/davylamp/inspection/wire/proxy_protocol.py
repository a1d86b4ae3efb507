r"""The PROXY protocol's header in front of a stream: version 1 in text, version 2 in binary.

Strategy: the first differing byte refuses. Version 1 is one line of at most 107 bytes; version 2
says its length in its first 16 bytes. What follows the header is the payload, handed over whole.

    bytes                                                       answer
    "PROXY TCP4|TCP6 source destination port port" CR LF        a header with addresses
    "PROXY UNKNOWN" anything CR LF                              a header without
    signature, 20 (LOCAL), any family, length                   a header without
    signature, 21 (PROXY), 11 12 21 22, length >= addresses     a header with addresses
    signature, 21, 00 or 31 32 (Unix sockets), length           a header without
    anything else                                               malformed

``authority`` is the host name that the sender's own client asked for (TLV type 2, the TLS SNI):
a name where a payload that is still encrypted has none for us.

Source: haproxy's doc/proxy-protocol.txt, sections 2.1 (version 1), 2.2 (version 2) and 2.2.2.
"""

import ipaddress
import re

import msgspec

from davylamp.flow import format_address
from davylamp.inspection.wire.prefix import Parsed, PrefixReader
from davylamp.inspection.wire.reader import Cursor, Malformed, printable

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
MAX_LINE = 107
MAX_HEADER = 16 + 0xFFFF

_TEXT = b"PROXY "
_PORT = re.compile(r"(?:0|[1-9][0-9]{0,4})\Z")
_ADDRESS = {"TCP4": ipaddress.IPv4Address, "TCP6": ipaddress.IPv6Address}
_FAMILIES = {0x11: ("tcp4", 4), 0x12: ("udp4", 4), 0x21: ("tcp6", 16), 0x22: ("udp6", 16)}
_NO_ADDRESS = {0x00: "", 0x31: "unix", 0x32: "unix"}
_AUTHORITY = 2
_MAX_TLVS = 64


class ProxyHeader(msgspec.Struct, frozen=True):
    """One header. The payload begins at offset ``payload``; ``rest`` is what came of it yet.

    ``version`` is 1 or 2, ``transport`` one of tcp4, tcp6, udp4, udp6, unix or "" when the sender
    did not say (then addresses are "" and ports 0). ``local`` marks the proxy's own connection.
    """

    version: int
    local: bool
    transport: str
    source: str
    source_port: int
    destination: str
    destination_port: int
    authority: str
    payload: int
    rest: bytes


class ProxyHeaderReader(PrefixReader[ProxyHeader]):
    """Reads a stream up to the end of its PROXY header."""

    __slots__ = ()
    LIMIT = MAX_HEADER

    def parse(self, data: bytes) -> Parsed[ProxyHeader]:
        """Read the stream's first bytes."""
        if data[:6] == _TEXT[: len(data)]:
            return _text(data)
        if data[:12] == SIGNATURE[: len(data)]:
            return _binary(data)
        return Malformed("not a PROXY header", 0, data)


def _text(data: bytes) -> Parsed[ProxyHeader]:
    end = data.find(b"\r\n", 0, MAX_LINE)
    if end < 0:
        if len(data) >= MAX_LINE:
            return Malformed("PROXY line too long", 0, data)
        return len(data) + 1
    words = data[6:end].decode("latin-1").split(" ")
    if words[0] == "UNKNOWN":
        return _without(1, False, "", end + 2, data)
    return _line(words, end + 2, data) or Malformed("not a PROXY line", 0, data)


def _line(words: list[str], payload: int, data: bytes) -> ProxyHeader | None:
    if len(words) != 5 or words[0] not in _ADDRESS or not all(map(_PORT.match, words[3:])):
        return None
    address, ports = _ADDRESS[words[0]], (int(words[3]), int(words[4]))
    try:
        source, destination = str(address(words[1])), str(address(words[2]))
    except ValueError:
        return None
    if max(ports) > 0xFFFF or "%" in source + destination:  # a zone is text of any kind
        return None
    return ProxyHeader(
        1,
        False,
        words[0].lower(),
        source,
        ports[0],
        destination,
        ports[1],
        "",
        payload,
        data[payload:],
    )


def _binary(data: bytes) -> Parsed[ProxyHeader]:
    if len(data) > 12 and data[12] not in (0x20, 0x21):
        return Malformed("not a PROXY version 2 command", 0, data)
    if len(data) < 16:
        return min(16, len(data) + 1)
    local, family = data[12] == 0x20, data[13]
    end = 16 + int.from_bytes(data[14:16], "big")
    name, size = _FAMILIES.get(family, ("", 0))
    known = size > 0 or family in _NO_ADDRESS
    least = 16 + (2 * size + 4 if size else 0)
    if not local and (not known or end < least):
        return Malformed("not a PROXY address family, or shorter than one", 0, data)
    if len(data) < end:
        return end
    if local or not size:
        return _without(2, local, "" if local else _NO_ADDRESS[family], end, data)
    cursor = Cursor(data, 16, end)
    source, destination = format_address(cursor.take(size)), format_address(cursor.take(size))
    return ProxyHeader(
        2,
        False,
        name,
        source,
        cursor.u16(),
        destination,
        cursor.u16(),
        _authority(cursor),
        end,
        data[end:],
    )


def _without(version: int, local: bool, transport: str, payload: int, data: bytes) -> ProxyHeader:
    return ProxyHeader(version, local, transport, "", 0, "", 0, "", payload, data[payload:])


def _authority(cursor: Cursor) -> str:
    """Return the host name among the type-length-value vectors, if there is one."""
    try:
        for _ in range(_MAX_TLVS):
            kind, value = cursor.u8(), cursor.take(cursor.u16())
            if kind == _AUTHORITY:
                return printable(value[:255]).lower().removesuffix(".")
    except EOFError:
        pass
    return ""
