"""Stratum V2 frames: the same messages in any split, bounded memory."""

import struct

from fuzz.pieces import same

from davylamp.inspection.wire.reader import Malformed
from davylamp.inspection.wire.stratum_v2 import MAX_FRAME, Sv2Reader

TARGET = bytes(range(32))
SETUP = bytes.fromhex("00000025000000020002000100000004706f6f6cce8507") + b"Bitmain\x02S9\x02os\x00"
SETUP = SETUP[:3] + (len(SETUP) - 6).to_bytes(3, "little") + SETUP[6:]
SUBMIT = b"\x00\x80\x1a\x18\x00\x00" + struct.pack("<6I", 1, 0, 7, 9, 1_700_000_000, 0x20000000)
OPEN = b"\x00\x00\x10\x2b\x00\x00\x01\x00\x00\x00\x02me\x00\x00\x80\x3f" + TARGET
JOB = b"\x00\x80\x15\x2d\x00\x00" + struct.pack("<IIBI", 1, 7, 0, 0x20000000) + TARGET
PREV_HASH = b"\x00\x80\x20\x30\x00\x00" + struct.pack("<II", 1, 7) + TARGET
PREV_HASH += struct.pack("<II", 1_700_000_000, 0x17026FF5)

SEEDS = (
    SETUP + OPEN + SUBMIT * 2,
    SUBMIT + b"\x01\x00\x00\x03\x00\x00abc" + SUBMIT,
    b"\x00\x00\x01\x06\x00\x00\x02\x00\x00\x00\x00\x00" + JOB + PREV_HASH,
    JOB + b"\x00\x80\x2f\xff\xff\xff",
)


def fuzz_one(data: bytes) -> None:
    """Read the input as either side."""
    for from_client in (True, False):

        def read(chunks: list[bytes], from_client: bool = from_client) -> object:
            reader = Sv2Reader(from_client=from_client)
            found = []
            for chunk in chunks:
                found += reader.feed(chunk)
                assert reader.held <= MAX_FRAME + 6
            return [(m.reason, m.offset) if isinstance(m, Malformed) else m for m in found]

        same(data, read)
