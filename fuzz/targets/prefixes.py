"""What is read from a stream's first bytes: one answer in any split, no more held than the limit.

SOCKS requests and replies, PROXY headers, peers' openings and Alephium's messages.
"""

import struct
from collections.abc import Callable
from functools import partial
from hashlib import sha256

from fuzz.pieces import same

from davylamp.inspection.wire.alephium import AlephiumReader
from davylamp.inspection.wire.p2p import P2pReader
from davylamp.inspection.wire.proxy_protocol import SIGNATURE, ProxyHeaderReader
from davylamp.inspection.wire.socks import SocksClientReader, SocksServerReader

V4 = bytes((192, 0, 2, 1, 198, 51, 100, 7)) + b"\xdc\x04\x0d\x05"
type AnyReader = (
    SocksClientReader | SocksServerReader | ProxyHeaderReader | P2pReader | AlephiumReader
)

READERS = (
    SocksClientReader,
    SocksServerReader,
    ProxyHeaderReader,
    partial(P2pReader, from_opener=True),
    partial(P2pReader, from_opener=False),
    partial(AlephiumReader, from_client=True),
    partial(AlephiumReader, from_client=False),
)

PAYLOAD = bytes(80) + b"\x04/x1/" + bytes(5)
CHECKSUM = sha256(sha256(PAYLOAD).digest()).digest()[:4]
HEADER = b"\x00\x07" + bytes(288) + (1_700_000_000_000).to_bytes(8) + bytes(4)
JOB = bytes(8) + struct.pack(">I", 302) + HEADER + b"\0\0\0\x01\x00\0\0\0\x02\x00\xff"
BLOCK = bytes(24) + HEADER + b"\x01" * 60

SEEDS = (
    b"\x05\x02\x00\x02\x01\x03bob\x06secret\x05\x01\x00\x03\x0cpool.example\x0d\x05{}\n",
    b"\x05\x01\x00\x05\x01\x00\x04" + bytes(16) + b"\x0d\x05",
    b"\x04\x01\x0d\x05\x00\x00\x00\x01me\x00pool.example\x00{}\n",
    b"\x05\x02\x01\x00\x05\x00\x00\x03\x03a.b\x04\x38",
    b"\x00\x5a\x04\x38\xc0\x00\x02\x01",
    b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 3333\r\n{}\n",
    b"\xf9\xbe\xb4\xd9version\0\0\0\0\0" + struct.pack("<I", len(PAYLOAD)) + CHECKSUM + PAYLOAD,
    bytes.fromhex("0121010101010101") + struct.pack("<QBIiII", 9, 1, 1001, 0, 1, 1) + bytes(9),
    b"\x00" + bytes(16) + b"\x01" + bytes(40) + b"\x02\x01\x94\0\0\x03" + bytes(32),
    struct.pack(">IBI", 5 + len(JOB), 0, 1) + JOB,
    struct.pack(">IBBI", 6 + len(BLOCK), 1, 0, len(BLOCK)) + BLOCK,
    SIGNATURE + b"\x21\x11\x00\x13" + V4 + b"\x02\x00\x04pool",
)


def fuzz_one(data: bytes) -> None:
    """Feed every prefix reader."""
    for kind in READERS:

        def read(chunks: list[bytes], kind: Callable[[], AnyReader] = kind) -> object:
            reader = kind()
            fed = behind = b""
            for chunk in chunks:
                if reader.result is None:
                    reader.feed(chunk)
                    fed += chunk
                else:
                    behind += chunk
                assert reader.held <= reader.LIMIT
            result = reader.result
            # Some say where they end, and leave it to their reader to take what follows.
            end: int = getattr(result, "end", len(fed))
            rest: bytes = getattr(result, "rest", fed[end:]) + behind
            assert data.endswith(rest)
            return type(result), rest, repr(result).partition("rest=")[0]

        same(data, read)
