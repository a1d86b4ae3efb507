"""NFQUEUE's messages: a layout reads what the walk reads, or declines; verdicts are exact."""

import mmap
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp import netlink
from davylamp.capture import nfqueue_wire as wire

ROOM = 4096
HEADER = netlink.attribute(1, struct.pack(">IHB", 77, 0x0800, 2))
ATTRIBUTES = {
    "indev": netlink.u32(5, 3),
    "outdev": netlink.u32(6, 4),
    "mark": netlink.u32(3, 0x0100BEEF),
    "address": netlink.attribute(9, bytes(12)),
    "stamp": netlink.attribute(4, bytes(16)),
    "info": netlink.u32(14, 1),
    "whole": netlink.u32(13, 9000),
    "odd": netlink.attribute(40, b"abcde"),
}
optional = st.lists(st.sampled_from(sorted(ATTRIBUTES)), unique=True)


def message(names: list[str], payload: bytes) -> bytes:
    """Return a packet message, its payload last and unpadded as the kernel has it."""
    middle = b"".join(ATTRIBUTES[name] for name in names)
    body = bytes(4) + HEADER + middle + struct.pack("=HH", 4 + len(payload), 10) + payload
    return struct.pack("=IHHII", 16 + len(body), wire.PACKET, 0, 0, 0) + body


def buffer_with(data: bytes) -> mmap.mmap:
    """Return a receive buffer that holds one datagram."""
    made = mmap.mmap(-1, ROOM)
    made[: len(data)] = data
    return made


def walked(data: bytes) -> wire.QueuedPacket | None:
    """Read a datagram's first packet by walking it."""
    for found in netlink.messages(data, 0, len(data)):
        return wire.walk(data, found) if found.kind == wire.PACKET else None
    return None


def layout_of(data: bytes) -> wire.Layout:
    """Learn a layout that must be learnable."""
    (found,) = netlink.messages(data, 0, len(data))
    layout = wire.Layout.of(data, found)
    assert layout is not None
    return layout


@settings(max_examples=200, deadline=None)
@given(optional, st.binary(min_size=1, max_size=200), st.binary(min_size=1, max_size=200))
def test_a_layout_reads_what_a_walk_reads(names: list[str], one: bytes, two: bytes) -> None:
    """A layout learned from one message reads another of its kind just as the walk does."""
    layout = layout_of(message(names, one))
    data = message(names, two)
    packet = layout.read(buffer_with(data), 0, len(data))
    assert packet == walked(data)
    assert packet is not None
    assert packet.packet_id == 77
    assert packet.hook == 2
    assert packet.mark == (0x0100BEEF if "mark" in names else 0)
    assert packet.captured == two


@settings(max_examples=200, deadline=None)
@given(optional, optional, st.binary(min_size=1, max_size=80), st.data())
def test_a_layout_declines_what_it_does_not_fit(
    names: list[str], others: list[str], payload: bytes, data: st.DataObject
) -> None:
    """Over other layouts, cut messages and flipped bytes, it agrees with the walk or declines."""
    layout = layout_of(message(names, b"first"))
    raw = bytearray(message(others, payload))
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(16, len(raw) - 1))] = data.draw(st.integers(0, 255))
    length = data.draw(st.integers(20, len(raw)))
    whole = struct.pack("=I", length) + bytes(raw[4:length])
    packet = layout.read(buffer_with(whole), 0, length)
    assert packet is None or packet == walked(whole)


@pytest.mark.parametrize(
    "body",
    [
        HEADER,
        netlink.attribute(10, b"payload") + HEADER,
        HEADER + netlink.attribute(1, b"short") + netlink.attribute(10, b"p"),
        HEADER + netlink.attribute(3, b"\1") + netlink.attribute(10, b"p"),
    ],
    ids=["no payload", "payload first", "two ids", "short mark"],
)
def test_an_unusual_message_teaches_nothing(body: bytes) -> None:
    """What the kernel never sends is left to the walk for ever."""
    data = netlink.message(wire.PACKET, 0, body)
    (found,) = netlink.messages(data, 0, len(data))
    assert wire.Layout.of(data, found) is None


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_no_message_raises(body: bytes) -> None:
    """Whatever follows the header, the walk returns a packet or nothing."""
    data = netlink.message(wire.PACKET, 0, body)
    (found,) = netlink.messages(data, 0, len(data))
    packet = wire.walk(data, found)
    layout = wire.Layout.of(data, found)
    if layout is not None:
        assert layout.read(buffer_with(data), 0, len(data)) == packet


def judged(data: bytes) -> list[tuple[int, int, int, int | None]]:
    """Return (message kind, verdict, packet id, mark) of each verdict message."""
    read = []
    for found in netlink.messages(data, 0, len(data)):
        values = {
            one.kind: data[one.start : one.end]
            for one in netlink.attributes(data, found.start + 4, found.end)
        }
        verdict, packet_id = struct.unpack(">II", values[2])
        mark = int.from_bytes(values[3], "big") if 3 in values else None
        assert data[found.start + 2 : found.start + 4] == b"\x01\x02"
        read.append((found.kind, verdict, packet_id, mark))
    return read


RUNS = [(5, 1), (6, 1), (7, wire.DROP), (8, wire.DROP), (9, 2)]


@pytest.mark.parametrize(
    ("verdicts", "batch", "expected"),
    [
        (
            RUNS,
            True,
            [
                (wire.VERDICT_BATCH, 1, 6, 1),
                (wire.VERDICT_BATCH, 0, 8, None),
                (wire.VERDICT_BATCH, 1, 9, 2),
            ],
        ),
        (
            RUNS[:3],
            False,
            [(wire.VERDICT, 1, 5, 1), (wire.VERDICT, 1, 6, 1), (wire.VERDICT, 0, 7, None)],
        ),
        ([(6, 1), (5, 1)], True, [(wire.VERDICT, 1, 6, 1), (wire.VERDICT, 1, 5, 1)]),
    ],
    ids=["runs", "one by one", "out of order"],
)
def test_verdicts_are_encoded(
    verdicts: list[tuple[int, int]], batch: bool, expected: list[tuple[int, int, int, int | None]]
) -> None:
    """A run of equal verdicts is one message, where that is asked for and the ids ascend."""
    assert judged(wire.VerdictEncoder(0x0102).encode(verdicts, batch=batch)) == expected
