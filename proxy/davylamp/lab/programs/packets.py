"""IPv4, IPv6 and TCP packets built byte by byte, fragments included, and the few read back.

Sources: RFC 791 and RFC 8200 (headers, fragmentation), RFC 9293 (TCP, its checksum and
pseudo-header). Addresses are packed, network order.
"""

import ipaddress
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from davylamp.flow import Proto

ETHERTYPE_V4 = 0x0800
ETHERTYPE_V6 = 0x86DD
_FRAGMENT_HEADER = 44
_ICMP = 1
_ICMPV6 = 58


@dataclass(frozen=True, slots=True)
class Ends:
    """The two ends of a connection, ours first."""

    ours: bytes
    our_port: int
    theirs: bytes
    their_port: int

    @property
    def v6(self) -> bool:
        """Whether this is IPv6."""
        return len(self.ours) == 16

    @property
    def ethertype(self) -> int:
        """The EtherType of the family."""
        return ETHERTYPE_V6 if self.v6 else ETHERTYPE_V4

    @property
    def mss(self) -> int:
        """The largest payload that fits 1,500 bytes without options."""
        return 1440 if self.v6 else 1460


@dataclass(frozen=True, slots=True)
class Received:
    """A TCP segment that came back."""

    seq: int
    ack: int
    flags: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Unreachable:
    """An ICMP error that came back: its type and code (RFC 792, RFC 4443)."""

    kind: int
    code: int


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    padded = data + bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def tcp_segment(  # noqa: PLR0913 - the header's own fields
    ends: Ends,
    *,
    seq: int,
    ack: int,
    flags: int,
    payload: bytes = b"",
    spoil_checksum: bool = False,
) -> bytes:
    """Return a TCP header and payload; a SYN carries our MSS. Sequence numbers wrap at 2**32."""
    options = struct.pack("!BBH", 2, 4, ends.mss) if flags & 0x02 else b""
    offset = (20 + len(options)) // 4 << 4
    fields = (ends.our_port, ends.their_port, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, offset, flags)
    body = struct.pack("!HHIIBBHHH", *fields, 0xFFFF, 0, 0) + options + payload
    if ends.v6:
        pseudo = ends.ours + ends.theirs + struct.pack("!II", len(body), Proto.TCP)
    else:
        pseudo = ends.ours + ends.theirs + struct.pack("!HH", Proto.TCP, len(body))
    total = checksum(pseudo + body) ^ (0x5555 if spoil_checksum else 0)
    return body[:16] + struct.pack("!H", total) + body[18:]


def ip_packets(
    ends: Ends, body: bytes, *, ident: int, fragment: int = 0, ttl: int = 64
) -> Iterator[bytes]:
    """Yield the packet for a TCP segment, or its fragments of ``fragment`` bytes each.

    ``fragment`` is rounded down to a multiple of eight, as the offset field counts in eights.
    Over IPv6 it wants to be 24 or more: RFC 8200 section 4.5 has receivers discard a first
    fragment without the whole TCP header, and Linux does.
    """
    size = fragment // 8 * 8
    if not size or size >= len(body):
        yield _ipv6(ends, body, Proto.TCP, ttl) if ends.v6 else _ipv4(ends, body, ident, 0, ttl)
        return
    for start in range(0, len(body), size):
        piece = body[start : start + size]
        more = start + size < len(body)
        if ends.v6:
            offset = start | more
            head = struct.pack("!BBHI", Proto.TCP, 0, offset, ident)
            yield _ipv6(ends, head + piece, _FRAGMENT_HEADER, ttl)
        else:
            yield _ipv4(ends, piece, ident, start // 8 | more << 13, ttl)


def _ipv4(ends: Ends, body: bytes, ident: int, fragment: int, ttl: int) -> bytes:
    length, ident16 = 20 + len(body), ident & 0xFFFF
    head = struct.pack("!BBHHHBBH", 0x45, 0, length, ident16, fragment, ttl, Proto.TCP, 0)
    head += ends.ours + ends.theirs
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def _ipv6(ends: Ends, body: bytes, following: int, hop_limit: int) -> bytes:
    head = struct.pack("!IHBB", 6 << 28, len(body), following, hop_limit)
    return head + ends.ours + ends.theirs + body


def read_back(packet: bytes, ends: Ends) -> Received | Unreachable | None:
    """Return what a received packet says about our connection, or None where it says nothing.

    The peer's stack sends no fragments and no extension headers here; ICMP errors come from
    anyone in the path.
    """
    try:
        following, source, body = _strip_ip(packet, v6=ends.v6)
        if following == (_ICMPV6 if ends.v6 else _ICMP):
            return _unreachable(body, ends)
        if following != Proto.TCP or source != ends.theirs:
            return None
        return _tcp(body, ends)
    except struct.error:
        return None


def _strip_ip(packet: bytes, *, v6: bool) -> tuple[int, bytes, bytes]:
    if v6:
        length, following = struct.unpack_from("!HB", packet, 4)
        return following, packet[8:24], packet[40 : 40 + length]
    first, _, length = struct.unpack_from("!BBH", packet)
    (following,) = struct.unpack_from("!B", packet, 9)
    return following, packet[12:16], packet[(first & 15) * 4 : length]


def _tcp(body: bytes, ends: Ends) -> Received | None:
    source, target, seq, ack, offset, flags = struct.unpack_from("!HHIIBB", body)
    if (source, target) != (ends.their_port, ends.our_port):
        return None
    return Received(seq, ack, flags, body[(offset >> 4) * 4 :])


def _unreachable(body: bytes, ends: Ends) -> Unreachable | None:
    """Read an ICMP error that quotes a packet of ours (RFC 792, RFC 4443)."""
    kind, code = struct.unpack_from("!BB", body)
    if kind not in ({1, 2, 3, 4} if ends.v6 else {3, 11, 12}):
        return None
    quoted = body[8:]
    (first,) = struct.unpack_from("!B", quoted)
    (following,) = struct.unpack_from("!B", quoted, 6)
    inner = (first & 15) * 4
    if ends.v6:
        inner = 48 if following == _FRAGMENT_HEADER else 40
    ports = struct.unpack_from("!HH", quoted, inner)
    return Unreachable(kind, code) if ports == (ends.our_port, ends.their_port) else None


def pack(address: str) -> bytes:
    """Return an address, packed; raise ValueError where it is none."""
    return ipaddress.ip_address(address).packed
