"""pcapng: sections, interfaces and the three packet blocks, sound or not."""

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.capture import bytesource
from davylamp.capture.pcapng import LATEST, MAX_BLOCK, MAX_INTERFACES
from davylamp.capture.tracefile import Trace
from davylamp.errors import CaptureError

PACKET = b"\x45" + bytes(range(1, 38))  # 38 bytes: needs padding
RAW, ETHERNET, RADIOTAP = 101, 1, 127
Packets = list[tuple[float, bytes]]


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """Build one block around a body, padded."""
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + length + body + length


def section(order: str = "<", major: int = 1) -> bytes:
    """Build a Section Header Block of unknown section length."""
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, major, 0, -1), order)


def option(code: int, value: bytes, order: str = "<") -> bytes:
    """Build one option, padded."""
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def interface(link: int = RAW, options: bytes = b"", order: str = "<", snap: int = 0) -> bytes:
    """Build an Interface Description Block."""
    return block(1, struct.pack(order + "HHI", link, 0, snap) + options, order)


def enhanced(ticks: int, packet: bytes = PACKET, order: str = "<", index: int = 0) -> bytes:
    """Build an Enhanced Packet Block with a comment option after the packet."""
    head = struct.pack(
        order + "IIIII", index, ticks >> 32, ticks & 0xFFFFFFFF, len(packet), len(packet)
    )
    body = head + packet + bytes(-len(packet) % 4)
    return block(6, body + option(1, b"hello", order) + option(0, b"", order), order)


def obsolete(ticks: int, packet: bytes = PACKET, order: str = "<") -> bytes:
    """Build a Packet Block, which later specifications retired."""
    head = struct.pack(
        order + "HHIIII", 0, 0, ticks >> 32, ticks & 0xFFFFFFFF, len(packet), len(packet)
    )
    return block(2, head + packet, order)


def simple(packet: bytes = PACKET, order: str = "<", wire: int | None = None) -> bytes:
    """Build a Simple Packet Block."""
    return block(3, struct.pack(order + "I", wire or len(packet)) + packet, order)


def read(path: Path) -> tuple[Packets, str, int]:
    """Read what can be read; return packets, the error's text (or nothing), frames skipped."""
    packets: Packets = []
    with Trace(path) as trace:
        try:
            packets.extend(trace)
        except CaptureError as error:
            return packets, str(error), trace.skipped
        return packets, "", trace.skipped


SECOND = 1_000_000
TIME = option(9, b"\x09")  # nanoseconds
BINARY_TIME = option(9, b"\x8a")  # 1/1024 s
OFFSET = option(14, struct.pack("<q", 1_700_000_000))
FILES = [
    ("enhanced", interface() + enhanced(2 * SECOND), [(2.0, PACKET)]),
    ("obsolete", interface() + obsolete(2 * SECOND), [(2.0, PACKET)]),
    (
        "simple, timed by the packet before",
        interface() + simple() + enhanced(3 * SECOND) + simple(),
        [(0.0, PACKET), (3.0, PACKET), (3.0, PACKET)],
    ),
    ("simple, cut", interface(snap=20) + simple(PACKET[:20], wire=1500), [(0.0, PACKET[:20])]),
    ("nanoseconds", interface(options=TIME) + enhanced(2_000_000_005), [(2.000000005, PACKET)]),
    ("binary fractions", interface(options=BINARY_TIME) + enhanced(1536), [(1.5, PACKET)]),
    (
        "time offset after other options",
        interface(options=option(2, b"eth0") + OFFSET + option(0, b"")) + enhanced(SECOND),
        [(1_700_000_001.0, PACKET)],
    ),
    (
        "options end at their end",
        interface(options=option(0, b"") + OFFSET) + enhanced(SECOND),
        [(1.0, PACKET)],
    ),
    ("a time past the calendar", interface() + enhanced(0xFFFF_FFFF_FFFF_FFFF), [(LATEST, PACKET)]),
    (
        "a time before the epoch",
        interface(options=option(14, struct.pack("<q", -(2**62)))) + enhanced(0),
        [(0.0, PACKET)],
    ),
    (
        "the finest resolution",
        interface(options=option(9, b"\x7f")) + enhanced(0),
        [(0.0, PACKET)],
    ),
    (
        "two interfaces",
        interface(RADIOTAP) + interface(RAW, TIME) + enhanced(10**9, index=1),
        [(1.0, PACKET)],
    ),
    (
        "unknown, custom and statistics blocks",
        block(0x0BAD, b"\0\0\0\x01??") + interface() + block(5, bytes(12)) + block(77, b"")
        + block(0x4000_0BAD, bytes(4000)) + enhanced(SECOND),
        [(1.0, PACKET)],
    ),
    (
        "two sections of different byte order",
        interface() + enhanced(SECOND) + section(">") + interface(order=">")
        + enhanced(2 * SECOND, order=">") + obsolete(3 * SECOND, order=">") + simple(order=">"),
        [(1.0, PACKET), (2.0, PACKET), (3.0, PACKET), (3.0, PACKET)],
    ),
    ("no packets", b"", []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "expected"), [row[1:] for row in FILES], ids=[row[0] for row in FILES]
)
def test_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, expected: Packets
) -> None:
    """Each feature of the format gives its packets and times, however reads cut the file."""
    path = tmp_path / "a.pcapng"
    path.write_bytes(section() + content)
    assert read(path) == (expected, "", 0)
    for chunk in (1, 13, 64):
        monkeypatch.setattr(bytesource, "CHUNK", chunk)
        assert read(path) == (expected, "", 0)


def test_other_link_layers(tmp_path: Path) -> None:
    """Each interface has its own link layer; frames of an unknown one are counted and skipped."""
    path = tmp_path / "a.pcapng"
    frame = bytes(12) + b"\x08\x00" + PACKET
    path.write_bytes(
        section() + interface(RADIOTAP) + interface(ETHERNET)
        + enhanced(SECOND, index=0) + enhanced(SECOND, frame, index=1)
    )  # fmt: skip
    assert read(path) == ([(1.0, PACKET)], "", 1)


HEAD = section() + interface() + enhanced(SECOND)
BROKEN = [
    ("version", section(major=2), 0, "byte 0: pcapng version 2.0"),
    ("no byte order", section()[:8] + b"????" + section()[12:], 0, "byte 0: a section header has"),
    ("short header", block(0x0A0D0D0A, b"\x4d\x3c\x2b\x1a"), 0, "byte 0: a section header is too"),
    ("cut in a block's head", HEAD + b"\x06\0\0\0", 1, f"byte {len(HEAD)}: a block is cut off"),
    ("cut in a block", HEAD + enhanced(1)[:-1], 1, f"byte {len(HEAD)}: a block of 88 bytes is cut"),
    ("length zero", HEAD + bytes(64), 1, f"byte {len(HEAD)}: a block claims 0 bytes"),
    (
        "length past the limit",
        HEAD + struct.pack("<III", 6, MAX_BLOCK + 4, 0),
        1,
        f"byte {len(HEAD)}: a block claims {MAX_BLOCK + 4} bytes",
    ),
    ("odd length", HEAD + struct.pack("<III", 6, 33, 0) + bytes(33), 1, "a block claims 33 bytes"),
    (
        "lengths differ",
        HEAD + enhanced(1)[:-4] + struct.pack("<I", 40) + enhanced(2),
        1,
        f"byte {len(HEAD)}: a block's two lengths differ",
    ),
]


@pytest.mark.parametrize(
    ("content", "readable", "message"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN]
)
def test_broken_framing(tmp_path: Path, content: bytes, readable: int, message: str) -> None:
    """Broken framing ends the reading where it begins, after what came before it."""
    path = tmp_path / "broken.pcapng"
    path.write_bytes(content)
    packets, error, _ = read(path)
    assert len(packets) == readable
    assert error.startswith(f"{path}: at ")
    assert message in error


FAULTS = [
    ("an interface nobody described", enhanced(SECOND, index=5), "names interface 5"),
    ("a packet longer than its block", block(6, struct.pack("<5I", 0, 0, 0, 99, 99)), "claims 99"),
    ("an obsolete one, the same", block(2, struct.pack("<HHIIII", 0, 0, 0, 0, 9, 9)), "claims 9"),
    ("a simple packet longer than its block", block(3, struct.pack("<I", 50)), "claims 50"),
    ("a packet block without fields", block(6, bytes(8)), "too short"),
    ("a simple block without fields", block(3, b""), "too short"),
    ("an interface without fields", block(1, b""), "too short"),
]


@pytest.mark.parametrize(
    ("fault", "message"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS]
)
def test_fault_within_a_block(tmp_path: Path, fault: bytes, message: str) -> None:
    """A bad block in a sound frame costs itself only, and is reported once all is read."""
    path = tmp_path / "faulty.pcapng"
    path.write_bytes(HEAD + fault + enhanced(2 * SECOND) + fault)
    packets, error, _ = read(path)
    assert packets == [(1.0, PACKET), (2.0, PACKET)]
    assert f"{path}: at byte {len(HEAD)}: " in error
    assert message in error


def test_packet_before_any_interface(tmp_path: Path) -> None:
    """A new section forgets the interfaces of the last one."""
    path = tmp_path / "a.pcapng"
    path.write_bytes(HEAD + section() + simple() + enhanced(SECOND))
    packets, error, _ = read(path)
    assert packets == [(1.0, PACKET)]
    assert "before any interface" in error


def test_interfaces_are_capped(tmp_path: Path) -> None:
    """Interfaces beyond the limit are not kept."""
    path = tmp_path / "many.pcapng"
    path.write_bytes(section() + interface() * (MAX_INTERFACES + 1) + enhanced(SECOND))
    packets, error, _ = read(path)
    assert packets == [(1.0, PACKET)]
    assert f"more than {MAX_INTERFACES} interfaces" in error


_blocks = st.one_of(
    st.sampled_from(
        [section(), section(">"), interface(), enhanced(1), obsolete(1), simple(), interface(1)]
    ),
    st.builds(block, st.sampled_from([1, 2, 3, 6, 99]), st.binary(max_size=60)),
    st.binary(max_size=20),
)


@given(st.lists(_blocks, max_size=12), st.integers(0, 400), st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_hostile_bytes(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[bytes], place: int, value: int
) -> None:
    """Any blocks, one byte of them rewritten, end in packets or a CaptureError."""
    path = tmp_path_factory.getbasetemp() / "hostile.pcapng"
    content = bytearray(section() + b"".join(blocks))
    content[place % len(content)] = value
    content[:4] = section()[:4]
    path.write_bytes(content)
    packets, _, skipped = read(path)
    assert sum(len(packet) for _, packet in packets) <= len(content)
    assert len(packets) + skipped <= len(content) / 12
