"""WebSocket frames, plain and deflated: the same messages in any split, bounded memory."""

import zlib

from fuzz.pieces import same

from davylamp.inspection.wire.reader import Malformed
from davylamp.inspection.wire.websocket import MAX_MESSAGE, Deflate, WebSocketReader

AGREEMENTS = (None, Deflate(), Deflate(client_takeover=False))

SEEDS = (
    bytes.fromhex("818537fa213d7f9f4d5158 890548656c6c6f 010348656c 80026c6f"),
    bytes.fromhex("c107f248cdc9c90700 c105f200110000"),
    bytes.fromhex("4103f248cd 8900 8004c9c90700 81024142"),
    bytes.fromhex("c10d f24805000000ffffcac9c90700 c108f348cdc9c9070000"),
    b"\x82\x7e\x01\x00" + bytes(range(256)),
    b"\xc2\x7e\x04\x00" + zlib.compress(bytes(1 << 20), 9)[2:-4],
)


def fuzz_one(data: bytes) -> None:
    """Read one direction under each agreement."""
    for deflate in AGREEMENTS:
        lost = False

        def read(chunks: list[bytes], deflate: Deflate | None = deflate) -> object:
            nonlocal lost
            reader = WebSocketReader(deflate, from_client=True)
            found = []
            for chunk in chunks:
                found += reader.feed(chunk)
                assert reader.held <= MAX_MESSAGE + 256
            lost |= reader.lost
            return [
                (m.reason, m.offset) if isinstance(m, Malformed) else (m.data, m.offset, m.end)
                for m in found
            ], reader.skipped

        try:
            same(data, read)
        except AssertionError:
            if not lost:  # where exactly a bomb runs out of budget depends on the pieces
                raise
