"""Conntrack's messages: which are translated flows, whatever else may be in them."""

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp import netlink
from davylamp.capture.conntrack_wire import DELETE, NEW, Tracked, parse

type End = tuple[str, int]

INNER: End = ("172.17.0.2", 40000)
OUTER: End = ("192.0.2.1", 41000)
POOL: End = ("203.0.113.10", 3333)


def ends(kind: int, source: End, destination: End, proto: int) -> bytes:
    """Return one tuple, as the kernel writes it."""
    first, second = (ip_address(each[0]) for each in (source, destination))
    base = 1 if first.version == 4 else 3
    return netlink.nested(
        kind,
        netlink.nested(
            1, netlink.attribute(base, first.packed), netlink.attribute(base + 1, second.packed)
        ),
        netlink.nested(
            2,
            netlink.attribute(1, bytes([proto])),
            netlink.attribute(2, struct.pack(">H", source[1])),
            netlink.attribute(3, struct.pack(">H", destination[1])),
        ),
    )


def event(
    *between: bytes,
    kind: int = NEW,
    inner: End = INNER,
    outer: End = OUTER,
    there: End = POOL,
    proto: int = 6,
) -> bytes:
    """Return an event; ``between`` come after the tuples and before the id."""
    return netlink.message(
        kind,
        0,
        ends(1, inner, there, proto),
        ends(2, there, outer, proto),
        *between,
        netlink.u32(12, 7),
        netlink.u32(3, 0),
        family=2,
    )


def read(data: bytes) -> list[Tracked]:
    """Return what one datagram says."""
    return parse(data, 0, len(data))


def packed(end: End) -> tuple[bytes, int]:
    """Return an end as it is read."""
    return ip_address(end[0]).packed, end[1]


EXPECTED = Tracked(False, "tcp", packed(INNER), packed(OUTER), packed(POOL), 7)


@pytest.mark.parametrize("between", [(), (netlink.attribute(18, b"\0\1"),)], ids=["plain", "zone"])
def test_a_translated_flow_is_read_whatever_is_beside_it(between: tuple[bytes, ...]) -> None:
    """The usual layout, and one with a zone in it, say the same; several come in order."""
    data = event(*between) + event(*between, kind=DELETE, proto=17)
    assert read(data) == [EXPECTED, EXPECTED._replace(ended=True, proto="udp")]


def test_ipv6_is_read() -> None:
    """A translated IPv6 flow is told as one of IPv4 is."""
    inner, outer, there = ("fd00::2", 1), ("2001:db8::1", 2), ("2001:db8:1::9", 3)
    [found] = read(event(inner=inner, outer=outer, there=there))
    assert (found.inner, found.source, found.destination) == (
        packed(inner),
        packed(outer),
        packed(there),
    )


@pytest.mark.parametrize(
    "data",
    [
        event(outer=(INNER[0], 41000)),
        event(inner=("fd00::2", 1), outer=("fd00::2", 9), there=("2001:db8::9", 3)),
        event(proto=1),
        event(kind=netlink.SUBSYSTEM_QUEUE << 8),
        netlink.message(NEW, 0, ends(2, POOL, OUTER, 6), family=2),
        netlink.message(NEW, 0, family=2),
    ],
    ids=["only the port", "IPv6 untranslated", "ICMP", "no event", "half", "empty"],
)
def test_what_is_no_translated_flow_is_left_out(data: bytes) -> None:
    """Most of what a host's kernel tracks is of no concern."""
    assert read(data) == []


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 400), st.binary(min_size=1, max_size=8), st.integers(0, 400))
def test_no_message_raises(at: int, change: bytes, cut: int) -> None:
    """Whatever bytes are wrong, and wherever it is cut, ends are whole or nothing is told."""
    data = bytearray(event() + event(inner=("fd00::2", 1), outer=("fd00::9", 2), there=("::1", 3)))
    data[at : at + len(change)] = change
    for found in parse(bytes(data), 0, min(cut, len(data))):
        assert found.proto in {"tcp", "udp"}
        assert {len(end[0]) for end in found[2:5]} <= {4, 16}
