"""JSON lines behind base64 and exclusive or, and streams that are neither."""

import base64
import random
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.inspection.framing import Framer
from davylamp.inspection.wire.armour import (
    LOOK,
    Armour,
    Unarmoured,
    Unarmourer,
)

type Splits = Callable[[bytes], Iterator[list[bytes]]]

ONE = b'{"id":1,"method":"mining.subscribe","params":["x/1",null]}\n'
TWO = b'{"id":2,"method":"mining.authorize","params":["a.b","?>~"]}\n'
LOGIN = b' [ {"jsonrpc": "2.0", "method": "login", "params": {"pass": "\\u00ff"}} ]\n'


def _xor(data: bytes, key: int) -> bytes:
    return bytes(byte ^ key for byte in data)


def _read(chunks: list[bytes]) -> tuple[bytes, Unarmourer, list[Unarmoured]]:
    reader = Unarmourer()
    found = [piece for chunk in chunks if (piece := reader.feed(chunk)) is not None]
    return b"".join(piece.data for piece in found), reader, found


def _wrapped(data: bytes, width: int) -> bytes:
    text = base64.b64encode(data)
    return b"".join(text[at : at + width] + b"\r\n" for at in range(0, len(text), width))


B64 = base64.b64encode
BASE64 = [
    ("a line each", B64(ONE) + b"\n" + B64(TWO) + b"\n", ONE + b"\n" + TWO + b"\n"),
    ("CRLF", B64(ONE) + b"\r\n" + B64(TWO) + b"\r\n", ONE + b"\n" + TWO + b"\n"),
    ("one text", B64(ONE + TWO), ONE + TWO),
    ("texts behind each other", B64(ONE[:-1]) + B64(TWO[:-1]), ONE[:-1] + TWO[:-1]),
    ("URL-safe", base64.urlsafe_b64encode(ONE + TWO), ONE + TWO),
    (
        "without padding",
        B64(ONE[:-2] + b" }").rstrip(b"=") + b"\n" + B64(TWO[:-2] + b" }").rstrip(b"=") + b"\n",
        ONE[:-2] + b" }\n" + TWO[:-2] + b" }\n",
    ),
    ("wrapped at 76", _wrapped(ONE + TWO, 76), ONE + TWO + b"\n"),
    ("wrapped at 64", _wrapped(ONE + TWO, 64), ONE + TWO + b"\n"),
    ("blanks and a batch", B64(LOGIN), LOGIN),
]


@pytest.mark.parametrize(("name", "stream", "plain"), BASE64, ids=[row[0] for row in BASE64])
def test_base64(name: str, stream: bytes, plain: bytes, splits: Splits) -> None:
    """Base64 in either alphabet, padded, wrapped or not, is unwrapped in any segments."""
    for chunks in splits(stream):
        data, reader, found = _read(chunks)
        assert data == plain
        assert {piece.kind for piece in found} == {Armour.BASE64}
        assert not reader.done


def test_url_safe_sample_differs() -> None:
    """The sample above would not decode under the other alphabet."""
    assert b"_" in base64.urlsafe_b64encode(ONE + TWO) or b"-" in base64.urlsafe_b64encode(
        ONE + TWO
    )


@pytest.mark.parametrize("key", [1, 0x20, 0x5A, 0x7B, 0x80, 0xFF])
@pytest.mark.parametrize("plain", [ONE + TWO, LOGIN[1:], b'{ "id":7,\t"result":true,"error":null}'])
def test_xor(key: int, plain: bytes, splits: Splits) -> None:
    """One key for every byte is found in the first of them."""
    for chunks in splits(_xor(plain, key)):
        data, reader, found = _read(chunks)
        assert data == plain
        assert {(piece.kind, piece.key) for piece in found} == {(Armour.XOR, key)}
        assert reader.held == 0


def test_every_key() -> None:
    """All 255 keys are found; a key of zero is no armour."""
    for key in range(256):
        found = Unarmourer().feed(_xor(ONE, key))
        read = found and (found.kind, found.key, found.data)
        assert read == ((Armour.XOR, key, ONE) if key else None)


def test_places_join_up(splits: Splits) -> None:
    """The raw places of the pieces follow each other from the first byte to the last group."""
    for stream in (B64(ONE + TWO) + b"ab", _xor(ONE + TWO, 9)):
        for chunks in splits(stream):
            _, reader, found = _read(chunks)
            at = 0
            for piece in found:
                assert piece.offset == at
                at = piece.end
            assert at == len(stream) - reader.held


def test_unwrapped_bytes_are_framed() -> None:
    """What comes out is what a reader of JSON lines expects, also from one text over lines."""
    for stream in (_wrapped(ONE + TWO, 76), B64(ONE[:-1]) + b"\n" + B64(TWO[:-1]) + b"\n"):
        data, _, _ = _read([stream[at : at + 11] for at in range(0, len(stream), 11)])
        framer = Framer()
        assert [framed.text.strip() for framed in framer.receive(data, 0)] == [
            ONE.strip(),
            TWO.strip(),
        ]


PLAIN = [
    ("JSON", ONE),
    ("HTTP", b"GET /index.html HTTP/1.1\r\nHost: example.com\r\n\r\n"),
    ("TLS", bytes.fromhex("16030100f8010000f40303") + bytes(200)),
    ("SSH", b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n"),
    ("base64 of binary", B64(bytes(range(100)))),
    ("base64 of text", B64(b"From: a@example.org\r\nSubject: nothing\r\n\r\n")),
    ("words", b"theQuickBrownFoxJumpsOverTheLazyDogAgainAndAgain"),
    ("hex", b"deadbeef" * 20),
    ("PEM", b"-----BEGIN CERTIFICATE-----\nMIIB\n"),
    ("zeros", bytes(100)),
    ("repeated letters", b"[[aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    ("JSON array of numbers", _xor(b"[1,2,3,4,5,6,7,8,9,10,11,12,13]", 7)),
    ("exclusive or of text", _xor(b"Lorem ipsum dolor sit amet, consectetur", 0x55)),
    ("exclusive or of HTTP", _xor(b"GET / HTTP/1.1\r\nHost: example.com\r\n", 0x55)),
    ("two keys", bytes(b ^ (0x55, 0x56)[n % 2] for n, b in enumerate(ONE))),
]


@pytest.mark.parametrize(("name", "stream"), PLAIN, ids=[row[0] for row in PLAIN])
def test_no_armour(name: str, stream: bytes, splits: Splits) -> None:
    """Other streams are let go within the first bytes, and nothing is made of them."""
    for chunks in splits(stream):
        data, reader, _ = _read(chunks)
        assert data == b""
        assert reader.done


def test_random_streams_are_let_go() -> None:
    """Of 50,000 random streams none passes."""
    chance = random.Random(5)
    for _ in range(50_000):
        reader = Unarmourer()
        assert reader.feed(chance.randbytes(LOOK)) is None
        assert reader.done


def test_short_stream_is_undecided() -> None:
    """Fewer bytes than the look are kept, not judged."""
    reader = Unarmourer()
    assert reader.feed(B64(ONE)[: LOOK - 1]) is None
    assert (reader.done, reader.held) == (False, LOOK - 1)


def test_damage_ends_base64(splits: Splits) -> None:
    """What came before a byte that is no digit stands; what follows is not read."""
    for broken in (b"\xff", b"{", b"a=b="):
        for chunks in splits(B64(ONE) + broken + B64(TWO)):
            data, reader, _ = _read(chunks)
            assert data == ONE
            assert reader.done


@given(
    st.sampled_from([b"", B64(ONE), B64(ONE)[:30], _xor(ONE, 3), B64(ONE) + b"\n"]),
    st.lists(
        st.one_of(st.binary(max_size=30), st.text("abAB+/=\n\r-_", max_size=30).map(str.encode)),
        max_size=6,
    ),
)
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_answered(start: bytes, chunks: list[bytes]) -> None:
    """Arbitrary bytes never raise, hold little, and read the same in one piece."""
    apart, one, _ = _read([start, *chunks])
    whole, other, _ = _read([b"".join((start, *chunks))])
    assert apart == whole
    assert (one.done, one.kind, one.held) == (other.done, other.kind, other.held)
    assert one.held <= LOOK
