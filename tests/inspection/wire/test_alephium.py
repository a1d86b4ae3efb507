"""Alephium's miner messages in both forms, and streams of lengths that are not them."""

import random
import struct
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.inspection.wire.alephium import (
    MAX_BLOB,
    MAX_MESSAGE,
    AlephiumKind,
    AlephiumMessage,
    AlephiumReader,
)
from davylamp.inspection.wire.reader import Malformed

type Splits = Callable[[bytes], Iterator[list[bytes]]]

TIME = 1_700_000_000_000
CHANCE = random.Random(4)
HASHES = CHANCE.randbytes(32 * 33)


def _header(dependencies: int = 7, version: int = 0, time: int = TIME) -> bytes:
    """Make a header without its nonce (alephium/docs, "Getting Jobs From Full Node")."""
    head = bytes((version, dependencies)) + HASHES[: 32 * (dependencies + 2)]
    return head + time.to_bytes(8) + b"\x1b\x2a\x3c\x4d"


def _blob(data: bytes) -> bytes:
    return len(data).to_bytes(4) + data


def _message(*parts: bytes, versioned: bool) -> bytes:
    return _blob(b"\x01" * versioned + b"".join(parts))


def _job(source: int, target: int, header: bytes, transactions: bytes, versioned: bool) -> bytes:
    parts = struct.pack(">II", source, target) + _blob(header) + _blob(transactions)
    return parts + _blob(b"\x00\xff" + bytes(28)) + (b"\x00\x10\x00\x00" if versioned else b"")


def _jobs(
    *,
    versioned: bool,
    header: bytes | None = None,
    transactions: bytes = bytes(60),
    count: int = 16,
    source: int = 0,
) -> bytes:
    header = _header() if header is None else header
    jobs = [
        _job(source or n // 4, n % 4, header, transactions, versioned)
        for n in range(min(count, 16))
    ]
    return _message(b"\x00", count.to_bytes(4), *jobs, versioned=versioned)


def _submission(
    *, versioned: bool, header: bytes | None = None, more: bytes = b"\x01" * 60
) -> bytes:
    block = bytes(range(24)) + (_header() if header is None else header) + more
    return _message(b"\x00", _blob(block), versioned=versioned)


def _result(*, versioned: bool, status: int = 1, group: int = 2) -> bytes:
    block = HASHES[:32] if versioned else b""
    body = struct.pack(">II", group, 3) + block + bytes((status,))
    return _message(b"\x01", body, versioned=versioned)


def _read(chunks: list[bytes], *, from_client: bool) -> AlephiumMessage | Malformed | None:
    reader = AlephiumReader(from_client=from_client)
    for chunk in chunks:
        reader.feed(chunk)
        assert reader.held <= reader.LIMIT
    return reader.result


@pytest.mark.parametrize("versioned", [False, True])
@pytest.mark.parametrize("dependencies", [1, 7])
def test_jobs(versioned: bool, dependencies: int, splits: Splits) -> None:
    """Sixteen jobs are known by the end of the first, in any segments."""
    stream = _jobs(
        versioned=versioned, header=_header(dependencies), count=16 if dependencies > 1 else 1
    )
    assert (len(stream) > 6000) == (dependencies > 1)
    first = 9 + versioned + len(_job(0, 0, _header(dependencies), bytes(60), versioned))
    expected = AlephiumMessage(
        AlephiumKind.JOBS, versioned, True, first, 16 if dependencies > 1 else 1
    )
    for chunks in splits(stream[: first + 9]):
        assert _read(chunks, from_client=False) == expected
    assert _read([stream], from_client=False) == expected


@pytest.mark.parametrize("versioned", [False, True])
def test_submissions(versioned: bool, splits: Splits) -> None:
    """A miner's block is known at its last byte, in any segments."""
    stream = _submission(versioned=versioned)
    assert len(stream) == 395 + versioned
    for chunks in splits(stream + b"\0"):
        assert _read(chunks, from_client=True) == AlephiumMessage(
            AlephiumKind.SUBMISSION, versioned, True, len(stream)
        )


@pytest.mark.parametrize("versioned", [False, True])
@pytest.mark.parametrize("status", [0, 1])
def test_results(versioned: bool, status: int, splits: Splits) -> None:
    """A node's verdict on a block is read, but proves little."""
    stream = _result(versioned=versioned, status=status)
    for chunks in splits(stream):
        assert _read(chunks, from_client=False) == AlephiumMessage(
            AlephiumKind.RESULT, versioned, False, len(stream)
        )


BOTH = [(versioned, name) for versioned in (False, True) for name in ("server", "client")]
CHANGED = [
    ("dependencies even", {"header": _header(6)}),
    ("dependencies 33", {"header": _header(33)[:1] + b"\x21" + _header(31)[2:]}),
    ("header version 9", {"header": _header(version=9)}),
    ("time in seconds", {"header": _header(time=TIME // 1000)}),
    ("time in 2200", {"header": _header(time=TIME * 5)}),
]


@pytest.mark.parametrize(("name", "change"), CHANGED, ids=[row[0] for row in CHANGED])
@pytest.mark.parametrize(("versioned", "side"), BOTH)
def test_header_must_fit(
    name: str, change: dict[str, bytes], versioned: bool, side: str, splits: Splits
) -> None:
    """One implausible field of a header is enough to refuse either side's message."""
    client = side == "client"
    header = change["header"]
    stream = (_submission if client else _jobs)(versioned=versioned, header=header)[:600]
    for chunks in splits(stream):
        assert isinstance(_read(chunks, from_client=client), Malformed)


REFUSED = [
    ("no jobs", _jobs(versioned=True, count=0), False),
    ("too many jobs", _jobs(versioned=True, count=300), False),
    ("more jobs than the size has room for", _jobs(versioned=True, count=25), False),
    ("group 4 of 4", _jobs(versioned=False, source=4), False),
    ("a byte more in a submission", b"\0\0\1\x88" + _submission(versioned=False)[4:], True),
    ("result with status 2", _result(versioned=True, status=2), False),
    ("result with group 16", _result(versioned=False, group=16), False),
    ("result from a client", _result(versioned=True), True),
    ("jobs from a client", _jobs(versioned=True), True),
    ("submission from a server", _submission(versioned=True), False),
    ("type 2", _message(b"\x02" + bytes(20), versioned=True), False),
    ("size over the limit", (MAX_MESSAGE + 1).to_bytes(4) + bytes(2), False),
    ("JSON", b'{"id":1}\n', True),
    ("PostgreSQL", bytes.fromhex("0000002300030000") + b"user\0me\0" + bytes(40), True),
    ("Kafka", bytes.fromhex("0000001600120000000000010003") + b"app" + bytes(40), True),
    ("thrift", bytes.fromhex("0000001f8001000100000004") + bytes(40), True),
    ("gRPC without HTTP/2", bytes.fromhex("000000000501020304") + bytes(40), True),
    ("zeros", bytes(100), False),
    ("SMB", bytes.fromhex("000000d4ff534d4272000000"), True),
]


@pytest.mark.parametrize(("name", "stream", "from_client"), REFUSED, ids=[r[0] for r in REFUSED])
def test_refused(name: str, stream: bytes, from_client: bool, splits: Splits) -> None:
    """Everything that is fixed must fit, whatever the segments."""
    for chunks in splits(stream[:500]):
        assert isinstance(_read(chunks, from_client=from_client), Malformed)


def test_jobs_full_of_transactions() -> None:
    """Blobs are read up to their limit and held no longer."""
    stream = _jobs(versioned=True, transactions=bytes(MAX_BLOB), count=2)
    chunks = [stream[at : at + 1000] for at in range(0, len(stream), 1000)]
    assert isinstance(_read(chunks, from_client=False), AlephiumMessage)
    stream = _jobs(versioned=True, transactions=bytes(MAX_BLOB + 1), count=2)
    assert isinstance(_read([stream], from_client=False), Malformed)


@given(
    st.booleans(),
    st.sampled_from(
        [b"", _jobs(versioned=True)[:40], _submission(versioned=False)[:40], b"\0\0\1"]
    ),
    st.lists(st.binary(max_size=60), max_size=8),
)
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_answered(from_client: bool, start: bytes, chunks: list[bytes]) -> None:
    """Arbitrary bytes never raise and read the same in one piece."""
    apart = _read([start, *chunks], from_client=from_client)
    whole = _read([b"".join((start, *chunks))], from_client=from_client)
    assert type(apart) is type(whole)
