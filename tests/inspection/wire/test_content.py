"""Content codings: each, stacked, cut, damaged, and far larger inside than out."""

import gzip
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.inspection.wire.content import MAX_DECODED, ContentDecoder, content_codings

type Splits = Callable[[bytes], Iterator[list[bytes]]]

BODY = b'{"id":1,"jsonrpc":"2.0","method":"eth_getWork","params":[]}\n' * 3


def _raw(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


def _read(codings: tuple[str, ...], chunks: list[bytes]) -> tuple[bytes, ContentDecoder]:
    decoder = ContentDecoder(codings)
    return b"".join(map(decoder.feed, chunks)), decoder


GZIP = gzip.compress(BODY, mtime=0)
GOOD: list[tuple[tuple[str, ...], bytes]] = [
    ((), BODY),
    (("gzip",), GZIP),
    (("x-gzip",), gzip.compress(BODY[:9]) + gzip.compress(BODY[9:])),
    (("deflate",), zlib.compress(BODY)),
    (("deflate",), zlib.compress(BODY, wbits=9)),
    (("deflate",), _raw(BODY)),
    (("deflate", "gzip"), gzip.compress(zlib.compress(BODY))),
    (("gzip", "gzip"), gzip.compress(GZIP)),
    (("gzip", "deflate"), _raw(GZIP)),
]


@pytest.mark.parametrize(("codings", "coded"), GOOD, ids=[str(n) for n in range(len(GOOD))])
def test_codings(codings: tuple[str, ...], coded: bytes, splits: Splits) -> None:
    """A coded body decodes in any segments."""
    for chunks in splits(coded):
        body, decoder = _read(codings, chunks)
        assert body == BODY
        assert not decoder.done


@pytest.mark.parametrize(
    ("codings", "named"),
    [
        (("br",), "br"),
        (("zstd", "gzip"), "zstd"),
        (("gzip", "br"), "br"),
        (("compress",), "compress"),
        (("gzip", "gzip", "gzip"), "too many"),
    ],
)
def test_undecodable(codings: tuple[str, ...], named: str) -> None:
    """What cannot be undone is named, and nothing is made up."""
    body, decoder = _read(codings, [GZIP])
    assert (body, decoder.undecodable, decoder.done) == (b"", named, True)


def test_cut_body_gives_what_came() -> None:
    """A body that stops early gives its beginning."""
    body, decoder = _read(("gzip",), [GZIP[:-12]])
    assert BODY.startswith(body)
    assert body
    assert not decoder.done


def test_damage_keeps_what_came_before() -> None:
    """Bytes that are no gzip end the decoding; what was decoded before them stands."""
    body, decoder = _read(("gzip",), [GZIP + b"garbage", GZIP])
    assert body == BODY
    assert decoder.damaged
    for codings in (("gzip",), ("deflate",), ("deflate", "gzip")):
        body, decoder = _read(codings, [b"\xff" * 40])
        assert (body, decoder.damaged) == (b"", True)


@pytest.mark.parametrize("size", [1, 100, 1 << 20])
def test_bomb_is_cut_at_the_limit(size: int) -> None:
    """A body gives no more than the limit, and a bomb in a bomb does not either."""
    bomb = gzip.compress(b"x" * (20 << 20), mtime=0)
    chunks = [bomb[at : at + size] for at in range(0, len(bomb), size)]
    body, decoder = _read(("gzip",), chunks)
    assert body == b"x" * MAX_DECODED
    assert decoder.truncated
    nested = gzip.compress(bomb, mtime=0)
    body, decoder = _read(("gzip", "gzip"), [nested])
    assert body == b"x" * MAX_DECODED


def test_exactly_the_limit_is_whole() -> None:
    """A body of the limit's size is not called truncated; one more byte is."""
    for extra, truncated in ((0, False), (1, True)):
        body, decoder = _read(("gzip",), [gzip.compress(b"x" * (MAX_DECODED + extra))])
        assert len(body) == MAX_DECODED
        assert decoder.truncated == truncated


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ((), ()),
        ((("content-encoding", "GZIP"),), ("gzip",)),
        ((("content-encoding", "identity"),), ()),
        ((("content-encoding", " deflate , gzip,"),), ("deflate", "gzip")),
        ((("content-encoding", "br"), ("content-encoding", "gzip")), ("br", "gzip")),
        ((("accept-encoding", "gzip"),), ()),
    ],
)
def test_header(fields: tuple[tuple[str, str], ...], expected: tuple[str, ...]) -> None:
    """Codings are named in the order of their application, identity left out."""
    assert content_codings(fields) == expected


@given(
    st.sampled_from([("gzip",), ("deflate",), ("gzip", "deflate"), ("br",)]),
    st.sampled_from([b"", GZIP, GZIP[:20], zlib.compress(BODY), b"\x78"]),
    st.lists(st.binary(max_size=40), max_size=6),
)
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_answered(
    codings: tuple[str, ...], start: bytes, chunks: list[bytes]
) -> None:
    """Arbitrary bytes never raise, and one piece gives nothing that many do not."""
    apart, one = _read(codings, [start, *chunks])
    whole, other = _read(codings, [b"".join((start, *chunks))])
    assert apart.startswith(whole)
    assert one.damaged == other.damaged


@pytest.mark.programs
def test_real_program() -> None:
    """What the gzip program writes is read."""
    program = shutil.which("gzip")
    if program is None:
        pytest.skip("gzip is not installed")
    coded = subprocess.run([program, "-9c"], input=BODY, capture_output=True, check=True).stdout
    assert _read(("gzip",), [coded])[0] == BODY
