"""Classic pcap: every variant is read, and damage ends the reading at the place it begins."""

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.capture import bytesource
from davylamp.capture.pcap import MAX_RECORD
from davylamp.capture.tracefile import Trace
from davylamp.errors import CaptureError

PACKET = b"\x45" + bytes(range(1, 40))
Packets = list[tuple[float, bytes]]


def header(order: str = "<", magic: int = 0xA1B2C3D4, minor: int = 4, link: int = 101) -> bytes:
    """Build a file header."""
    return struct.pack(order + "IHHiIII", magic, 2, minor, 0, 0, 65_535, link)


def record(packet: bytes, seconds: int = 1, fraction: int = 0, order: str = "<") -> bytes:
    """Build a record that holds the whole packet."""
    return struct.pack(order + "IIII", seconds, fraction, len(packet), len(packet)) + packet


def read(path: Path) -> tuple[Packets, str, int]:
    """Read what can be read; return packets, the error's text (or nothing), frames skipped."""
    packets: Packets = []
    with Trace(path) as trace:
        try:
            packets.extend(trace)
        except CaptureError as error:
            return packets, str(error), trace.skipped
        return packets, "", trace.skipped


VARIANTS = [
    ("microseconds", "<", 0xA1B2C3D4, b"", 1.000005),
    ("microseconds, big-endian", ">", 0xA1B2C3D4, b"", 1.000005),
    ("nanoseconds", "<", 0xA1B23C4D, b"", 1.000000005),
    ("nanoseconds, big-endian", ">", 0xA1B23C4D, b"", 1.000000005),
    ("modified", "<", 0xA1B2CD34, bytes(8), 1.000005),
    ("modified, big-endian", ">", 0xA1B2CD34, bytes(8), 1.000005),
]


@pytest.mark.parametrize(
    ("order", "magic", "extra", "time"), [v[1:] for v in VARIANTS], ids=[v[0] for v in VARIANTS]
)
def test_variants(tmp_path: Path, order: str, magic: int, extra: bytes, time: float) -> None:
    """Both byte orders, both resolutions and the longer record header give the same packet."""
    path = tmp_path / "a.pcap"
    one = record(PACKET, 1, 5, order)
    path.write_bytes(header(order, magic) + (one[:16] + extra + one[16:]) * 2)
    assert read(path) == ([(time, PACKET)] * 2, "", 0)


@pytest.mark.parametrize(("minor", "swap"), [(1, True), (2, True), (3, True), (3, False)])
def test_old_length_order(tmp_path: Path, minor: int, swap: bool) -> None:
    """Before 2.4 the wire length could come first; the smaller one is the captured one."""
    path = tmp_path / "a.pcap"
    lengths = (90, len(PACKET)) if swap else (len(PACKET), 90)
    one = struct.pack("<IIII", 1, 0, *lengths) + PACKET
    path.write_bytes(header(minor=minor) + one * 2)
    assert read(path) == ([(1.0, PACKET)] * 2, "", 0)


def test_frame_check_bits(tmp_path: Path) -> None:
    """The frame check sequence's length, kept in the link type's high bits, is not a link type."""
    path = tmp_path / "a.pcap"
    path.write_bytes(header(link=0x4400_0065) + record(PACKET))
    assert read(path)[0] == [(1.0, PACKET)]


def test_unknown_link_layer(tmp_path: Path) -> None:
    """Frames of a link layer we do not know are counted and skipped."""
    path = tmp_path / "a.pcap"
    path.write_bytes(header(link=127) + record(PACKET) * 3)
    assert read(path) == ([], "", 3)


def test_no_packets(tmp_path: Path) -> None:
    """A capture of nothing is a capture."""
    path = tmp_path / "a.pcap"
    path.write_bytes(header())
    assert read(path) == ([], "", 0)


def test_record_over_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records are whole however the file is cut into reads."""
    path = tmp_path / "a.pcap"
    expected = [(float(i), PACKET + bytes(i)) for i in range(50)]
    path.write_bytes(header() + b"".join(record(p, int(t)) for t, p in expected))
    for chunk in (1, 7, 16, 61):
        monkeypatch.setattr(bytesource, "CHUNK", chunk)
        assert read(path) == (expected, "", 0)


GOOD = header() + record(PACKET)
DAMAGE = [
    ("cut in the file header", header()[:10], 0, "byte 10: the file header is cut off"),
    ("version", header(minor=9), 0, "byte 4: pcap version 2.9 is not known"),
    ("cut in a record header", GOOD + b"\x01\x02", 1, f"byte {len(GOOD)}: a record header is cut"),
    (
        "cut in a packet",
        GOOD + record(PACKET)[:-5],
        1,
        f"byte {len(GOOD)}: a record of 40 bytes is cut off after 35",
    ),
    (
        "a length nobody captures",
        GOOD + struct.pack("<IIII", 1, 0, MAX_RECORD + 1, 1) + bytes(100),
        1,
        f"byte {len(GOOD)}: a record claims {MAX_RECORD + 1} bytes",
    ),
    (
        "the longest length there is",
        GOOD + struct.pack("<IIII", 1, 0, 0xFFFF_FFFF, 1),
        1,
        f"byte {len(GOOD)}: a record claims 4294967295 bytes",
    ),
]


@pytest.mark.parametrize(
    ("content", "readable", "message"), [d[1:] for d in DAMAGE], ids=[d[0] for d in DAMAGE]
)
def test_damage(tmp_path: Path, content: bytes, readable: int, message: str) -> None:
    """What comes before the damage is read; the error names the file and the offset."""
    path = tmp_path / "broken.pcap"
    path.write_bytes(content)
    packets, error, _ = read(path)
    assert len(packets) == readable
    assert error.startswith(f"{path}: at ")
    assert message in error


def test_memory_is_not_taken_on_trust(tmp_path: Path) -> None:
    """A record may be as long as the limit, and is read."""
    path = tmp_path / "a.pcap"
    packet = b"\x45" + bytes(MAX_RECORD - 1)
    path.write_bytes(header() + record(packet))
    assert read(path) == ([(1.0, packet)], "", 0)


@given(
    prefix=st.sampled_from([header(), header(">"), header(minor=3), header(link=1), GOOD]),
    tail=st.binary(max_size=300),
)
@settings(max_examples=200, deadline=None)
def test_hostile_bytes(
    tmp_path_factory: pytest.TempPathFactory, prefix: bytes, tail: bytes
) -> None:
    """Any bytes after a header end in packets or a CaptureError, yielding no more than is there."""
    path = tmp_path_factory.getbasetemp() / "hostile.pcap"
    path.write_bytes(prefix + tail)
    packets, _, skipped = read(path)
    assert sum(len(packet) for _, packet in packets) <= len(prefix + tail)
    assert len(packets) + skipped <= len(prefix + tail) / 16
