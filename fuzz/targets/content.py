"""Content codings: any bytes decode to at most the limit, and never raise."""

import gzip
import zlib

from fuzz.pieces import ways

from davylamp.inspection.wire.content import MAX_DECODED, ContentDecoder

CODINGS = (("gzip",), ("deflate",), ("gzip", "deflate"), ("gzip", "gzip"))
BODY = b'{"id":1,"method":"getwork","params":[]}\n' * 4

SEEDS = (
    gzip.compress(BODY, mtime=0),
    gzip.compress(BODY, mtime=0) * 2,
    zlib.compress(BODY),
    zlib.compress(BODY)[2:-4],
    gzip.compress(gzip.compress(BODY, mtime=0), mtime=0),
    gzip.compress(bytes(1 << 20), mtime=0),
    zlib.compress(gzip.compress(BODY, mtime=0)),
)


def fuzz_one(data: bytes) -> None:
    """Decode the input under each chain of codings."""
    for codings in CODINGS:
        bodies = []
        for chunks in ways(data):
            decoder = ContentDecoder(codings)
            bodies.append(b"".join(map(decoder.feed, chunks)))
            assert len(bodies[-1]) <= MAX_DECODED
        # Damage inside a piece takes what the piece had decoded with it.
        assert bodies[2].startswith(bodies[0]), "cut otherwise it reads otherwise"
