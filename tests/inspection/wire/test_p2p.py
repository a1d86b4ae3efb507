"""Peers' openings of the Bitcoin and CryptoNote families and of P2Pool, and what is none."""

import random
import struct
from collections.abc import Callable, Iterator
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.inspection.wire.p2p import MAX_VERSION_PAYLOAD, P2pFamily, P2pOpening, P2pReader
from davylamp.inspection.wire.reader import Malformed

type Splits = Callable[[bytes], Iterator[list[bytes]]]
type Streams = Callable[[str], dict[tuple[int, int], bytes]]


def _read(chunks: list[bytes], *, from_opener: bool = True) -> P2pOpening | Malformed | None:
    reader = P2pReader(from_opener=from_opener)
    for chunk in chunks:
        reader.feed(chunk)
        assert reader.held <= reader.LIMIT
    return reader.result


def _version(
    magic: str = "f9beb4d9", agent: bytes = b"/Satoshi:25.0.0/", checksum: int = 0
) -> bytes:
    """Make a version message (developer.bitcoin.org, "P2P Network", version)."""
    payload = struct.pack("<iQq", 70016, 1, 1_700_000_000) + bytes(52) + bytes(range(8))
    payload += bytes((len(agent),)) + agent + struct.pack("<i?", 800_000, True)
    total = sha256(sha256(payload).digest()).digest()[:4]
    total = bytes((total[0] ^ checksum,)) + total[1:]
    head = bytes.fromhex(magic) + b"version\0\0\0\0\0" + struct.pack("<I", len(payload))
    return head + total + payload


def _levin(
    command: int = 1001, payload: bytes = b"", *, expect: int = 1, flags: int = 1, version: int = 1
) -> bytes:
    """Make a bucket (monero docs/LEVIN_PROTOCOL.md)."""
    head = bytes.fromhex("0121010101010101") + struct.pack(
        "<QBIiII", len(payload), expect, command, 0, flags, version
    )
    return head + payload


def _handshake(last: int = 0x10, padding: int = 40) -> bytes:
    network = bytes.fromhex("1230f171610441611731008216a1a1") + bytes((last,))
    node = b"\x01\x11\x01\x01\x01\x01\x02\x01\x01\x08\x09node_data" + bytes(padding)
    return node + b"\x0anetwork_id\x0a\x40" + network + b"\x07peer_id\x05" + bytes(8)


def _p2pool(*, port: int = 37889, work: int = 0, request: bytes = bytes(32)) -> bytes:
    chance = random.Random(2)
    solution = chance.randbytes(24) + struct.pack("<Q", work) + chance.randbytes(8)
    stream = b"\x00" + chance.randbytes(16) + b"\x01" + solution
    return stream + b"\x02" + struct.pack("<i", port) + b"\x03" + request


BITCOIN, LEVIN, P2POOL = P2pFamily.BITCOIN, P2pFamily.LEVIN, P2pFamily.P2POOL
ENOUGH = (1 << 64) // 10_000

OPENINGS = [
    ("bitcoin", _version(), (BITCOIN, "bitcoin", "version", "/Satoshi:25.0.0/", 0)),
    (
        "testnet3",
        _version("0b110907"),
        (BITCOIN, "bitcoin-testnet3", "version", "/Satoshi:25.0.0/", 0),
    ),
    ("litecoin", _version("fbc0b6db", b"/L/"), (BITCOIN, "litecoin", "version", "/L/", 0)),
    ("dogecoin", _version("c0c0c0c0", b""), (BITCOIN, "dogecoin", "version", "", 0)),
    ("zcash", _version("24e92764", b"/M\x1b/"), (BITCOIN, "zcash", "version", r"/M\x1b/", 0)),
    ("unknown coin", _version("01020304", b"/x/"), (BITCOIN, "", "version", "/x/", 0)),
    ("magic of zeros", _version("00000000", b"/x/"), (BITCOIN, "", "version", "/x/", 0)),
    ("monero handshake", _levin(payload=_handshake()), (LEVIN, "monero", "1001", "", 0)),
    (
        "monero stagenet",
        _levin(payload=_handshake(0x12)),
        (LEVIN, "monero-stagenet", "1001", "", 0),
    ),
    ("other coin", _levin(payload=_handshake(0x77)), (LEVIN, "", "1001", "", 0)),
    (
        "handshake with a peer list first",
        _levin(payload=_handshake(padding=600), flags=2),
        (LEVIN, "", "1001", "", 0),
    ),
    ("support flags", _levin(1007), (LEVIN, "", "1007", "", 0)),
    ("new transactions", _levin(2002, b"abc", expect=0), (LEVIN, "", "2002", "", 0)),
    ("p2pool", _p2pool(), (P2POOL, "monero-p2pool", "handshake", "", 37889)),
    (
        "p2pool's hardest",
        _p2pool(work=ENOUGH, port=1),
        (P2POOL, "monero-p2pool", "handshake", "", 1),
    ),
]


@pytest.mark.parametrize(("name", "stream", "fields"), OPENINGS, ids=[o[0] for o in OPENINGS])
def test_openings(
    name: str, stream: bytes, fields: tuple[P2pFamily, str, str, str, int], splits: Splits
) -> None:
    """Each family's opening is told, at the same byte in any segments."""
    family, network, command, agent, port = fields
    ends = set()
    for chunks in splits(stream + b"more"):
        opening = _read(chunks)
        assert isinstance(opening, P2pOpening)
        assert (opening.family, opening.network, opening.command) == (family, network, command)
        assert (opening.agent, opening.port) == (agent, port)
        ends.add(opening.end)
    size = 33 + (min(len(stream) - 33, 512) if command == "1001" else 0)
    assert ends == {size if family is LEVIN else len(stream)}


def test_the_other_peer_need_not_work() -> None:
    """Only who opens a P2Pool connection proves work."""
    stream = _p2pool(work=ENOUGH + 1)
    assert isinstance(_read([stream]), Malformed)
    assert isinstance(_read([stream], from_opener=False), P2pOpening)


REFUSED = [
    ("checksum", _version(checksum=1)),
    ("verack", bytes.fromhex("f9beb4d9") + b"verack".ljust(12, b"\0") + bytes(8)),
    ("version of nothing", bytes.fromhex("f9beb4d9") + b"version\0\0\0\0\0" + bytes(8)),
    (
        "version too long",
        bytes.fromhex("f9beb4d9")
        + b"version\0\0\0\0\0"
        + struct.pack("<I", MAX_VERSION_PAYLOAD + 1)
        + bytes(4),
    ),
    ("levin command", _levin(3001)),
    ("levin version", _levin(version=2)),
    ("levin flags", _levin(flags=3)),
    ("levin boolean", _levin(expect=2)),
    ("levin signature", b"\x01\x21" + b"\x02" * 40),
    ("p2pool port", _p2pool(port=65536)),
    ("p2pool request", _p2pool(request=b"\1" * 32)),
    ("HTTP", b"GET / HTTP/1.1\r\n"),
    ("JSON", b'{"version":1}\n'),
    ("TLS", bytes.fromhex("16030100f8010000f40303")),
    ("zeros", bytes(100)),
    ("random", random.Random(1).randbytes(100)),
    ("text about a version", b"the version\0\0\0\0\0 of it all"),
]


@pytest.mark.parametrize(("name", "stream"), REFUSED, ids=[row[0] for row in REFUSED])
def test_refused(name: str, stream: bytes, splits: Splits) -> None:
    """What does not fit in every field is no peer, and its bytes are handed back."""
    for chunks in splits(stream):
        result = _read(chunks)
        assert isinstance(result, Malformed)
        assert stream.startswith(result.rest)


@given(
    st.booleans(),
    st.sampled_from([b"", _version()[:24], _levin()[:20], _p2pool()[:60], b"\0\0\0\0vers"]),
    st.lists(st.binary(max_size=60), max_size=8),
)
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_answered(from_opener: bool, start: bytes, chunks: list[bytes]) -> None:
    """Arbitrary bytes never raise and read the same in one piece."""
    apart = _read([start, *chunks], from_opener=from_opener)
    whole = _read([b"".join((start, *chunks))], from_opener=from_opener)
    assert type(apart) is type(whole)
    if isinstance(apart, P2pOpening):
        assert apart == whole
