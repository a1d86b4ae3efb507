"""SOCKS and PROXY prefixes: the same answer in any split, and never more held than the limit."""

from fuzz.pieces import same

from davylamp.inspection.wire.proxy_protocol import SIGNATURE, ProxyHeaderReader
from davylamp.inspection.wire.socks import SocksClientReader, SocksServerReader

V4 = bytes((192, 0, 2, 1, 198, 51, 100, 7)) + b"\xdc\x04\x0d\x05"
READERS = (SocksClientReader, SocksServerReader, ProxyHeaderReader)

SEEDS = (
    b"\x05\x02\x00\x02\x01\x03bob\x06secret\x05\x01\x00\x03\x0cpool.example\x0d\x05{}\n",
    b"\x05\x01\x00\x05\x01\x00\x04" + bytes(16) + b"\x0d\x05",
    b"\x04\x01\x0d\x05\x00\x00\x00\x01me\x00pool.example\x00{}\n",
    b"\x05\x02\x01\x00\x05\x00\x00\x03\x03a.b\x04\x38",
    b"\x00\x5a\x04\x38\xc0\x00\x02\x01",
    b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 3333\r\n{}\n",
    SIGNATURE + b"\x21\x11\x00\x13" + V4 + b"\x02\x00\x04pool",
)


def fuzz_one(data: bytes) -> None:
    """Feed every prefix reader."""
    for kind in READERS:

        def read(chunks: list[bytes], kind: type = kind) -> object:
            reader = kind()
            behind = b""
            for chunk in chunks:
                if reader.result is None:
                    reader.feed(chunk)
                else:
                    behind += chunk
                assert reader.held <= reader.LIMIT
            rest = b"" if reader.result is None else reader.result.rest
            assert data.endswith(rest + behind)
            return type(reader.result), rest + behind, repr(reader.result).partition("rest=")[0]

        same(data, read)
