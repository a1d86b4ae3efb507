"""The count of complete mining requests holds however the bytes are cut or framed."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.lab.programs.scanner import MAX_VALUE, RequestScanner, dialect_methods

SUBSCRIBE = b'{"id":1,"method":"mining.subscribe","params":["cgminer/4.12.1"]}'
LOGIN = b'{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"4","pass":"x"}}'
PLAIN = b'{"id":1,"jsonrpc":"2.0","method":"echo","params":["mining.subscribe"]}'

# name, stream, complete, terminated
STREAMS = [
    ("one line", SUBSCRIBE + b"\n", 1, 1),
    ("no newline", SUBSCRIBE, 1, 0),
    ("carriage return", LOGIN + b"\r\n", 1, 1),
    ("two in one", SUBSCRIBE + b"\n" + LOGIN + b"\n", 2, 2),
    ("second unterminated", SUBSCRIBE + b"\n" + LOGIN, 2, 1),
    ("not closed", SUBSCRIBE[:-1], 0, 0),
    ("not closed, newline", SUBSCRIBE[:-1] + b"\n", 0, 0),
    ("another dialect", PLAIN + b"\n", 0, 0),
    ("blanks before", b" \t" + SUBSCRIBE + b"\n", 1, 1),
    ("escaped method", SUBSCRIBE.replace(b"mining", b"\\u006dining") + b"\n", 1, 1),
    ("over several lines", json.dumps(json.loads(LOGIN), indent=1).encode() + b"\n", 1, 1),
    ("batch", b"[" + SUBSCRIBE + b"," + LOGIN + b"]\n", 2, 2),
    ("braces in strings", b'{"a":"}{\\"","method":"submit"}\n', 1, 1),
    ("after an open brace", b"GET / {\r\n" + SUBSCRIBE + b"\n", 1, 1),
    ("after an open string", b'{"x\n' + SUBSCRIBE + b"\n", 1, 1),
    ("after a backslash at a line's end", b'{"x\\\n' + SUBSCRIBE + b"\n", 1, 1),
    ("inside TLS-like noise", b"\x16\x03\x01\x00\xa5" + SUBSCRIBE + b"\n", 1, 1),
    ("first of two methods", b'{"method":"login","method":"echo"}\n', 1, 1),
    ("last of two methods", b'{"method":"echo","method":"login"}\n', 1, 1),
    ("quoted in a string", json.dumps({"text": SUBSCRIBE.decode()}).encode() + b"\n", 0, 0),
]


@pytest.mark.parametrize(("stream", "complete", "terminated"), [one[1:] for one in STREAMS])
def test_counts(stream: bytes, complete: int, terminated: int) -> None:
    """The counts are the same whole, byte by byte, and split at every boundary."""
    cuts = [[stream], [stream[at : at + 1] for at in range(len(stream))]]
    cuts += [[stream[:at], stream[at:]] for at in range(1, len(stream))]
    for pieces in cuts:
        scanner = RequestScanner()
        found = [method for piece in pieces for method in scanner.feed(piece)]
        assert (scanner.complete, scanner.terminated) == (complete, terminated)
        assert len(found) == complete


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=40) | st.sampled_from([SUBSCRIBE, b'"', b"{", b"\\", b"\n"])))
def test_garbage_never_hides_a_line_of_its_own(garbage: list[bytes]) -> None:
    """Whatever went before, a request on a line of its own is counted."""
    scanner = RequestScanner()
    for piece in garbage:
        scanner.feed(piece)
    before = scanner.complete
    scanner.feed(b"\n" + SUBSCRIBE + b"\n")
    assert scanner.complete > before
    assert scanner.complete >= scanner.terminated


def test_memory_is_bounded() -> None:
    """A value without end is forgotten, and what follows is counted again."""
    scanner = RequestScanner()
    for _ in range(64):
        scanner.feed(b'{"a":"' + b"x" * 8192)
    assert len(scanner._value) <= MAX_VALUE + 8192
    assert len(scanner._line) <= MAX_VALUE + 8192
    scanner.feed(b"\n" + LOGIN + b"\n")
    assert scanner.complete == 1


def test_deep_nesting_is_no_request() -> None:
    """Nesting that exhausts a recursive parser is nothing, not an exception."""
    assert dialect_methods(b"[" * 50_000 + b"]" * 50_000) == []
