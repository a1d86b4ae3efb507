"""Capture files: a damaged one ends in a CaptureError that names it, never in anything else."""

import gzip
import struct
from pathlib import Path
from tempfile import NamedTemporaryFile

from davylamp.capture.tracefile import Trace
from davylamp.errors import CaptureError

PACKET = bytes(12) + b"\x08\x00" + bytes.fromhex("45000014") + bytes(16)


def block(kind: int, body: bytes) -> bytes:
    """Return a pcapng block (draft-ietf-opsawg-pcapng section 3.1)."""
    length = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + length + body + length


PCAP = (
    struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    + (struct.pack("<IIII", 1, 2, len(PACKET), len(PACKET)) + PACKET) * 3
)
PCAPNG = (
    block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    + block(1, struct.pack("<HHI", 1, 0, 0) + struct.pack("<HHB3x", 9, 1, 6) + bytes(4))
    + block(6, struct.pack("<IIIII", 0, 1, 2, len(PACKET), len(PACKET)) + PACKET + bytes(2))
    + block(3, struct.pack("<I", len(PACKET)) + PACKET + bytes(2))
)

SEEDS = (PCAP, PCAPNG, PCAP[:-5], gzip.compress(PCAP, mtime=0), PCAPNG + PCAPNG)


def fuzz_one(data: bytes) -> None:
    """Read the input as a file to its end."""
    with NamedTemporaryFile(suffix=".pcap") as file:
        path = Path(file.name)
        path.write_bytes(data)
        try:
            with Trace(path) as trace:
                for _, packet in trace:
                    assert len(packet) <= 1 << 20
        except CaptureError as error:
            if str(path) not in str(error):
                raise AssertionError("the message does not name the file") from error
