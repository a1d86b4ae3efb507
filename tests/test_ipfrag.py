"""IP fragments become the datagram they came from, and never more than the limits allow."""

import ipaddress
import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from davylamp.ipfrag import Defragmenter, FragmentLimits

SRC4, DST4 = bytes((10, 0, 0, 1)), bytes((203, 0, 113, 9))
SRC6 = ipaddress.ip_address("2001:db8::1").packed
DST6 = ipaddress.ip_address("2001:db8::2").packed
PAYLOAD = bytes(range(256)) * 4


def v4(payload: bytes, offset: int = 0, *, more: bool = False, ident: int = 7) -> bytes:
    """Build one IPv4 packet or fragment, its checksum right."""
    word = offset // 8 | (0x2000 if more else 0)
    header = struct.pack(
        ">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), ident, word, 64, 17, 0, SRC4, DST4
    )
    total = sum(struct.unpack(">10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return (
        header[:10] + struct.pack(">H", ~(total + (total >> 16)) & 0xFFFF) + header[12:] + payload
    )


def v6(
    payload: bytes, offset: int | None = None, *, more: bool = False, hop_by_hop: bool = False
) -> bytes:
    """Build one IPv6 packet, or with ``offset`` one fragment."""
    fragment = b"" if offset is None else struct.pack(">BBHI", 17, 0, offset | more, 99)
    after = 44 if fragment else 17
    options = bytes((after, 0, 1, 4, 0, 0, 0, 0)) if hop_by_hop else b""
    length = len(options) + len(fragment) + len(payload)
    header = struct.pack(">IHBB", 6 << 28, length, 0 if hop_by_hop else after, 64)
    return header + SRC6 + DST6 + options + fragment + payload


def in_pieces(version: int, payload: bytes, size: int) -> list[bytes]:
    """Cut a datagram into fragments of ``size`` bytes, a multiple of eight."""
    build = v4 if version == 4 else v6
    return [
        build(payload[at : at + size], at, more=at + size < len(payload))
        for at in range(0, len(payload), size)
    ]


WHOLE = [
    ("IPv4", v4(PAYLOAD)),
    ("IPv6", v6(PAYLOAD)),
    ("IPv6 with hop-by-hop options", v6(PAYLOAD, hop_by_hop=True)),
    ("too short for a header", b"\x45\x00"),
    ("empty", b""),
    ("no IP version", bytes(60)),
    ("IPv6 options that run off the packet", v6(b"", hop_by_hop=True)[:44]),
]


@pytest.mark.parametrize("packet", [p for _, p in WHOLE], ids=[n for n, _ in WHOLE])
def test_whole(packet: bytes) -> None:
    """What is not a fragment passes through as the same object."""
    defragmenter = Defragmenter()
    assert defragmenter.packet(packet, 0.0) is packet
    assert defragmenter.fragments == 0


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("order", ["forward", "backward", "odd first"])
def test_order(version: int, order: str) -> None:
    """A datagram comes out once its last fragment is in, whatever order they came in."""
    fragments = in_pieces(version, PAYLOAD, 200)
    match order:
        case "backward":
            fragments.reverse()
        case "odd first":
            fragments = fragments[1::2] + fragments[::2]
        case _:
            pass
    defragmenter = Defragmenter()
    results = [defragmenter.packet(fragment, 1.0) for fragment in fragments]
    assert results[:-1] == [None] * (len(fragments) - 1)
    assert results[-1] == (v4(PAYLOAD) if version == 4 else v6(PAYLOAD))
    assert defragmenter.waiting == defragmenter.cost == 0


def test_extension_before_fragment_header() -> None:
    """The header that announced the fragment header announces the payload in the whole packet."""
    defragmenter = Defragmenter()
    assert defragmenter.packet(v6(PAYLOAD[:64], 0, more=True, hop_by_hop=True), 0.0) is None
    whole = defragmenter.packet(v6(PAYLOAD[64:], 64, hop_by_hop=True), 0.0)
    assert whole == v6(PAYLOAD, hop_by_hop=True)


def test_atomic_fragment() -> None:
    """An IPv6 fragment that is the whole datagram needs no other and disturbs none (RFC 6946)."""
    defragmenter = Defragmenter()
    assert defragmenter.packet(v6(PAYLOAD[:64], 0, more=True), 0.0) is None
    assert defragmenter.packet(v6(b"alone", 0), 0.0) == v6(b"alone")
    assert defragmenter.packet(v6(PAYLOAD[64:], 64), 0.0) == v6(PAYLOAD)


A, B, C = b"A" * 8, b"B" * 8, b"C" * 8
OVERLAPS = [
    ("a rewrite of what is held", [(A + A, 0, 1), (B + B, 0, 1), (C, 16, 0)], A + A + C),
    ("over the end of what is held", [(A + A, 0, 1), (B + B, 8, 0)], A + A + B),
    ("over the start of what is held", [(B + B, 8, 0), (A + A, 0, 1)], A + B + B),
    ("around what is held", [(B, 8, 1), (A + A + A, 0, 1), (C, 24, 0)], A + B + A + C),
    ("past the known end", [(B, 8, 0), (A + A + A, 0, 1)], A + B),
]


@pytest.mark.parametrize(
    ("parts", "expected"), [(p, e) for _, p, e in OVERLAPS], ids=[n for n, _, _ in OVERLAPS]
)
def test_overlap(parts: list[tuple[bytes, int, int]], expected: bytes) -> None:
    """Where fragments overlap the bytes that came first stay."""
    defragmenter = Defragmenter()
    results = [defragmenter.packet(v4(data, at, more=bool(more)), 0.0) for data, at, more in parts]
    assert results[-1] == v4(expected)


MALFORMED = [
    ("cut by the snapshot length", v4(PAYLOAD, 0, more=True)[:-1]),
    ("no payload", v4(b"", 8, more=True)),
    ("not a multiple of eight", v4(b"1234567", 0, more=True)),
    ("past 64 KiB, the ping of death", v4(PAYLOAD, 65_528)),
    ("a header of less than 20 bytes", b"\x42" + v4(PAYLOAD, 0, more=True)[1:]),
    ("an IPv6 fragment cut short", v6(PAYLOAD, 0, more=True)[:-1]),
]


@pytest.mark.parametrize("fragment", [f for _, f in MALFORMED], ids=[n for n, _ in MALFORMED])
def test_malformed(fragment: bytes) -> None:
    """A fragment that cannot be part of a datagram is dropped, and holds no memory."""
    defragmenter = Defragmenter()
    assert defragmenter.packet(fragment, 0.0) is None
    assert defragmenter.waiting == defragmenter.cost == 0


def test_header_too_long_for_the_whole() -> None:
    """A datagram that only its header takes past 64 KiB is dropped when it is complete."""
    defragmenter = Defragmenter()
    assert defragmenter.packet(v4(bytes(65_512), 0, more=True), 0.0) is None
    assert defragmenter.packet(v4(bytes(8), 65_512), 0.0) is None
    assert defragmenter.waiting == 0


def test_timeout() -> None:
    """Fragments older than the timeout, by packet time, do not complete a datagram."""
    defragmenter = Defragmenter(FragmentLimits(timeout=30.0))
    first, last = in_pieces(4, PAYLOAD, 512)
    assert defragmenter.packet(first, 0.0) is None
    assert defragmenter.packet(last, 30.5) is None
    assert defragmenter.packet(first, 31.0) == v4(PAYLOAD)


def test_datagrams_are_capped() -> None:
    """With too many datagrams waiting the oldest makes room."""
    defragmenter = Defragmenter(FragmentLimits(datagrams=3))
    for ident in range(10):
        defragmenter.packet(v4(A, 0, more=True, ident=ident), 0.0)
    assert defragmenter.waiting == 3
    assert defragmenter.packet(v4(B, 8, ident=9), 0.0) == v4(A + B, ident=9)


def test_bytes_are_capped() -> None:
    """The fragments that wait never cost more than the limit, however small they are."""
    limits = FragmentLimits(bytes=10_000)
    defragmenter = Defragmenter(limits)
    for at in range(0, 60_000, 16):
        defragmenter.packet(v4(A, at, more=True, ident=at % 5), 0.0)
        assert defragmenter.cost <= limits.bytes


def test_pieces_are_capped() -> None:
    """One datagram in very many pieces stops growing."""
    defragmenter = Defragmenter(FragmentLimits(pieces=10))
    for at in range(0, 60_000, 16):
        defragmenter.packet(v4(A, at, more=True), 0.0)
    assert defragmenter.cost < 10 * (len(A) + 200)


@given(
    payload=st.binary(min_size=9, max_size=400),
    size=st.integers(1, 8),
    version=st.sampled_from([4, 6]),
    data=st.data(),
)
@settings(max_examples=150, deadline=None)
def test_any_cut_any_order(payload: bytes, size: int, version: int, data: st.DataObject) -> None:
    """Any cut of a datagram, shuffled and with duplicates, gives back exactly that datagram."""
    fragments = in_pieces(version, payload, size * 8)
    if len(fragments) == 1:
        return
    sent = data.draw(st.permutations(fragments + fragments[:2]))
    defragmenter = Defragmenter()
    results = [defragmenter.packet(fragment, 0.0) for fragment in sent]
    whole = [result for result in results if result is not None]
    assert whole[0] == (v4(payload) if version == 4 else v6(payload))
    assert len(whole) <= 2


_places = st.tuples(
    st.integers(0, 12), st.binary(min_size=1, max_size=40), st.booleans(), st.integers(0, 2)
)


@given(st.lists(_places, max_size=40))
@settings(max_examples=200, deadline=None)
def test_matches_a_byte_map(parts: list[tuple[int, bytes, bool, int]]) -> None:
    """What comes out is what a map from place to first-received byte would hold."""
    defragmenter = Defragmenter()
    maps: dict[int, dict[int, int]] = {}
    ends: dict[int, int] = {}
    for place, content, more, ident in parts:
        offset, payload = place * 8, content * 8 if more else content
        if offset == 0 and not more:  # not a fragment at all
            continue
        held = maps.setdefault(ident, {})
        if not more and ident not in ends and offset + len(payload) > max(held, default=-1):
            ends[ident] = offset + len(payload)
        for index, byte in enumerate(payload, offset):
            if index < ends.get(ident, 1 << 20):
                held.setdefault(index, byte)
        result = defragmenter.packet(v4(payload, offset, more=more, ident=ident), 0.0)
        complete = ident in ends and len(held) == ends[ident]
        assert (result is not None) == complete
        if result is not None:
            assert result == v4(bytes(held[i] for i in range(ends[ident])), ident=ident)
            del maps[ident], ends[ident]


@given(st.lists(st.tuples(st.binary(max_size=80), st.floats(0, 1e9)), max_size=30))
@example([(b"\x45\x00\x00\x14\x00\x00\x20\x00" + bytes(12), 0.0)])
@settings(max_examples=200, deadline=None)
def test_hostile_bytes(packets: list[tuple[bytes, float]]) -> None:
    """Any bytes at any times raise nothing and stay within the limits."""
    limits = FragmentLimits(datagrams=4, bytes=2_000)
    defragmenter = Defragmenter(limits)
    for packet, now in packets:
        for version in (0x45, 0x60):
            defragmenter.packet(bytes((version,)) + packet, now)
    assert defragmenter.waiting <= limits.datagrams
    assert defragmenter.cost <= limits.bytes
