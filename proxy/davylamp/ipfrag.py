"""IP fragments in, whole datagrams out (RFC 791 section 3.2, RFC 8200 section 4.5).

Inline, the kernel has put fragments together before we see them; in a capture file nobody has.
Strategy: a whole packet costs two byte tests. Fragments wait under their datagram's key as
disjoint pieces in order; the first byte received for a place keeps it, as in TCP reassembly.
Everything that waits is bounded in number, bytes and packet time; the oldest makes room.
"""

import struct
from bisect import bisect_right
from dataclasses import dataclass, field

MAX_DATAGRAM = 65_535
"""What the length field of a reassembled datagram can say."""

_PIECE_COST = 128  # what a held piece costs beside its bytes, so that tiny ones are not free

_V6_HEADER = 40
_V6_FRAGMENT = 44
_V6_EXTENSIONS = frozenset({0, 43, 60})  # hop-by-hop, routing, destination options
_MAX_EXTENSIONS = 8


@dataclass(frozen=True, slots=True)
class FragmentLimits:
    """Bounds on what may wait; ``timeout`` is in seconds, Linux's own for both IP versions."""

    datagrams: int = 1024
    bytes: int = 4 * 1024 * 1024
    pieces: int = 2048
    """Pieces of one datagram: 65,535 bytes in fragments of the smallest IPv4 MTU, and spare."""
    timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class _Fragment:
    key: bytes
    header: bytes  # what goes before the payload once it is whole, lengths not yet corrected
    offset: int
    more: bool
    payload: bytes


@dataclass(slots=True)
class _Datagram:
    first_seen: float
    starts: list[int] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)
    header: bytes = b""
    end: int | None = None
    held: int = 0
    cost: int = 0

    @property
    def whole(self) -> bool:
        """Whether every byte up to the known end is here, and the first fragment's header."""
        return self.held == self.end and bool(self.header)

    def add(self, fragment: _Fragment, max_pieces: int) -> None:
        """Take what is new in the fragment: of bytes that came twice the first stay."""
        begin, end = fragment.offset, fragment.offset + len(fragment.payload)
        reach = self.starts[-1] + len(self.pieces[-1]) if self.starts else 0
        if not fragment.more and self.end is None and end >= reach:
            self.end = end
        limit = end if self.end is None else min(end, self.end)
        if begin == 0 and not self.header:
            self.header = fragment.header
            self.cost += len(fragment.header)
        index = bisect_right(self.starts, begin)
        at = begin
        if index:
            held_to = self.starts[index - 1] + len(self.pieces[index - 1])
            at = max(at, held_to)
        while at < limit and len(self.starts) < max_pieces:
            following = self.starts[index] if index < len(self.starts) else limit
            stop = min(limit, following)
            if stop > at:
                self._insert(index, at, fragment.payload[at - begin : stop - begin])
                index += 1
            if following >= limit:
                break
            at = self.starts[index] + len(self.pieces[index])
            index += 1

    def _insert(self, index: int, start: int, piece: bytes) -> None:
        self.starts.insert(index, start)
        self.pieces.insert(index, piece)
        self.held += len(piece)
        self.cost += len(piece) + _PIECE_COST


class Defragmenter:
    """Puts IPv4 and IPv6 fragments together; every other packet passes straight through."""

    __slots__ = ("_cost", "_limits", "_waiting", "fragments")

    def __init__(self, limits: FragmentLimits | None = None) -> None:
        self._limits = limits or FragmentLimits()
        self._waiting: dict[bytes, _Datagram] = {}
        self._cost = 0
        self.fragments = 0
        """How many came, whatever became of them."""

    @property
    def waiting(self) -> int:
        """Datagrams that are not whole yet."""
        return len(self._waiting)

    @property
    def cost(self) -> int:
        """Bytes that the waiting fragments are charged with."""
        return self._cost

    def packet(self, packet: bytes, now: float) -> bytes | None:
        """Return a whole packet as it is, a datagram when its last fragment arrives, else None.

        ``now`` is the packet's time in seconds. A packet too short to judge is returned as it is:
        what is wrong with it is for the inspection to say.
        """
        if len(packet) < 20:
            return packet
        version = packet[0] >> 4
        if version == 4:
            if not (packet[6] & 0x3F or packet[7]):  # neither MF nor an offset
                return packet
            return self._fragment(_read_v4(packet), now)
        if version == 6 and (packet[6] == _V6_FRAGMENT or packet[6] in _V6_EXTENSIONS):
            at = _find_v6_fragment_header(packet)
            if at:
                return self._fragment(_read_v6(packet, at), now)
        return packet

    def _fragment(self, fragment: _Fragment | None, now: float) -> bytes | None:
        limits = self._limits
        self.fragments += 1
        self._expire(now)
        if fragment is None:
            return None
        if fragment.offset == 0 and not fragment.more:  # RFC 6946: an atomic fragment is whole
            return _finish(fragment.header, [fragment.payload])
        datagram = self._waiting.get(fragment.key)
        if datagram is not None and now - datagram.first_seen > limits.timeout:
            self._forget(fragment.key)
            datagram = None
        if datagram is None:
            if len(self._waiting) >= limits.datagrams:
                self._forget(next(iter(self._waiting)))
            datagram = self._waiting[fragment.key] = _Datagram(first_seen=now)
        before = datagram.cost
        datagram.add(fragment, limits.pieces)
        self._cost += datagram.cost - before
        if datagram.whole:
            self._forget(fragment.key)
            if _length_field(datagram.header, datagram.held) > MAX_DATAGRAM:
                return None
            return _finish(datagram.header, datagram.pieces)
        while self._cost > limits.bytes:
            self._forget(next(iter(self._waiting)))
        return None

    def _expire(self, now: float) -> None:
        # Insertion order is the order of first fragments, so the oldest is in front.
        while self._waiting:
            key = next(iter(self._waiting))
            if now - self._waiting[key].first_seen <= self._limits.timeout:
                return
            self._forget(key)

    def _forget(self, key: bytes) -> None:
        self._cost -= self._waiting.pop(key).cost


def _read_v4(packet: bytes) -> _Fragment | None:
    header_length = (packet[0] & 0x0F) * 4
    total = packet[2] << 8 | packet[3]
    word = packet[6] << 8 | packet[7]
    offset, more = (word & 0x1FFF) * 8, bool(word & 0x2000)
    size = total - header_length
    if header_length < 20 or total > len(packet) or not _fits(offset, size, more=more):
        return None
    key = packet[4:6] + packet[9:10] + packet[12:20]
    return _Fragment(key, packet[:header_length], offset, more, packet[header_length:total])


def _find_v6_fragment_header(packet: bytes) -> int:
    """Return where the Fragment header begins, 0 if there is none that can be reached."""
    kind, at = packet[6], _V6_HEADER
    for _ in range(_MAX_EXTENSIONS):
        if at + 8 > len(packet):
            return 0
        if kind == _V6_FRAGMENT:
            return at
        if kind not in _V6_EXTENSIONS:
            return 0
        kind, at = packet[at], at + 8 * (packet[at + 1] + 1)
    return 0


def _read_v6(packet: bytes, at: int) -> _Fragment | None:
    word = packet[at + 2] << 8 | packet[at + 3]
    offset, more = word & 0xFFF8, bool(word & 1)
    total = _V6_HEADER + (packet[4] << 8 | packet[5])
    start = at + 8
    if total > len(packet) or not _fits(offset, total - start, more=more):
        return None
    header = bytearray(packet[:at])
    header[_next_header_field(packet, at)] = packet[at]
    key = packet[8:40] + packet[at + 4 : start]
    return _Fragment(key, bytes(header), offset, more, packet[start:total])


def _next_header_field(packet: bytes, fragment_header: int) -> int:
    """Return the index of the byte that announces the Fragment header, already found once."""
    field_at, at = 6, _V6_HEADER
    while at < fragment_header:
        field_at, at = at, at + 8 * (packet[at + 1] + 1)
    return field_at


def _fits(offset: int, size: int, *, more: bool) -> bool:
    """Say whether a fragment can be part of a datagram: not empty, aligned, within 64 KiB."""
    return size > 0 and offset + size <= MAX_DATAGRAM and not (more and size % 8)


def _length_field(header: bytes, size: int) -> int:
    """Return what the length field must say: IPv4 counts the header, IPv6 its extensions only."""
    return len(header) + size - (0 if header[0] >> 4 == 4 else _V6_HEADER)


def _finish(header: bytes, pieces: list[bytes]) -> bytes:
    payload = b"".join(pieces)
    whole = bytearray(header)
    if header[0] >> 4 == 4:
        struct.pack_into(">H", whole, 2, _length_field(header, len(payload)))
        whole[6:8] = b"\0\0"
        whole[10:12] = b"\0\0"
        struct.pack_into(">H", whole, 10, _checksum(bytes(whole)))
    else:
        struct.pack_into(">H", whole, 4, _length_field(header, len(payload)))
    return bytes(whole) + payload


def _checksum(header: bytes) -> int:
    """Return the Internet checksum (RFC 1071) of an IPv4 header."""
    total: int = sum(struct.unpack(f">{len(header) // 2}H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF
