"""Framing as tables, each stream fed whole, byte by byte, and cut at every place."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.inspection.framing import MAX_MESSAGE, Framed, Framer

# name, stream, messages
CASES: list[tuple[str, bytes, list[bytes]]] = [
    ("one line", b'{"a":1}\n', [b'{"a":1}']),
    ("no newline", b'{"a":1}', [b'{"a":1}']),
    ("two lines", b'{"a":1}\n{"b":2}\r\n', [b'{"a":1}', b'{"b":2}']),
    ("two values on a line", b'{"a":1}{"b":2} {"c":3}\n', [b'{"a":1}', b'{"b":2}', b'{"c":3}']),
    ("white space and BOM first", b'\xef\xbb\xbf \t\r\n{"a":1}\n', [b'{"a":1}']),
    ("what Python strips", b'\x0b\x0c{"a":1}\x0c\n{"b":2}\x0b\n', [b'{"a":1}', b'{"b":2}']),
    ("what Python strips, behind a broken line", b'{ broken\n\x0c\x0b{"a":1}\n', [b'{"a":1}']),
    ("a batch", b'[{"a":1},{"b":2}]\n', [b'[{"a":1},{"b":2}]']),
    ("nested", b'{"a":{"b":[{},[]]}}\n', [b'{"a":{"b":[{},[]]}}']),
    ("brackets in strings", b'{"a":"}{]["}\n', [b'{"a":"}{]["}']),
    ("escaped quotes", rb'{"a":"\"}\\"}' + b"\n", [rb'{"a":"\"}\\"}']),
    ("pretty-printed", b'{\n "a": 1\n}\n', [b'{\n "a": 1\n}']),
    ("text lines between", b'hello\n{"a":1}\nbye\n{"b":2}\n', [b'{"a":1}', b'{"b":2}']),
    ("not first on its line", b'log: {"a":1}\n', []),
    ("a broken line before", b'{ broken\n{"a":1}\n', [b'{"a":1}']),
    ("a broken line before, and more behind", b'{ broken\n{"a":1} x\n', [b'{"a":1}']),
    ("an item of a list on a line", b'[\n{"a":1},\n', []),
    ("an open string before", b'{"x\n{"a":1}\n', [b'{"a":1}']),
    ("binary", bytes(range(128, 256)) * 3, []),
    ("binary that opens a bracket", b'{\x00\x01"{}\n{"a":1}\n', [b'{"a":1}']),
    (
        "a letter that JSON has not, in a string",
        '{"a":"\u00e9\x01"}\n'.encode(),
        ['{"a":"\u00e9\x01"}'.encode()],
    ),
    ("a letter that JSON has not, outside", '{"a":\u00e9}\n{"b":2}\n'.encode(), [b'{"b":2}']),
    ("a log line follows", b'{"a":1} ok\n{"b":2}\n', [b'{"a":1}', b'{"b":2}']),
]


def feed(stream: bytes, cuts: list[int]) -> list[Framed]:
    """Feed the stream in the pieces that the cuts make."""
    framer = Framer()
    found = []
    edges = [0, *cuts, len(stream)]
    for begin, end in itertools.pairwise(edges):
        if end > begin:
            found += framer.receive(stream[begin:end], begin)
    return found


@pytest.mark.parametrize(("name", "stream", "messages"), CASES)
def test_messages_are_found_however_the_stream_is_cut(
    name: str, stream: bytes, messages: list[bytes]
) -> None:
    """Whole, byte by byte and split anywhere, the same messages come at the same offsets."""
    whole = feed(stream, [])
    assert [framed.text for framed in whole] == messages, name
    for framed in whole:
        assert stream[framed.offset : framed.end] == framed.text
    assert feed(stream, list(range(len(stream)))) == whole
    for cut in range(1, len(stream)):
        assert feed(stream, [cut]) == whole


def test_a_message_is_complete_with_its_last_bracket() -> None:
    """The byte that closes the value completes the message; the newline is not waited for."""
    framer = Framer()
    assert framer.receive(b'{"a":1', 0) == []
    assert framer.partial
    assert framer.receive(b"}", 6) == [Framed(0, b'{"a":1}')]
    assert not framer.partial


def test_an_endless_line_is_given_up() -> None:
    """A candidate past the bound is dropped, and the next line is read again."""
    framer = Framer()
    offset = 0
    for _ in range(MAX_MESSAGE // 1000 + 2):
        assert framer.receive(b'{"a":"' + b"x" * 994, offset) == []
        offset += 1000
    assert framer.held < 1000
    assert [f.text for f in framer.receive(b'\n{"b":2}\n', offset)] == [b'{"b":2}']


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([b"{", b"}", b"[", b"]", b'"', b"\\", b"\n", b" ", b"x", b'{"a":1}'])),
    st.data(),
)
def test_any_structure_frames_the_same_whole_and_in_pieces(
    parts: list[bytes], data: st.DataObject
) -> None:
    """No arrangement of structural bytes makes the framing depend on how it was cut."""
    stream = b"".join(parts)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=6).map(sorted))
    assert feed(stream, cuts) == feed(stream, [])


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=200, max_size=2000).filter(lambda data: b'"' not in data))
def test_binary_data_is_seldom_half_a_message(data: bytes) -> None:
    """A bracket in front of bytes that no JSON text has does not hold a flow back."""
    framer = Framer()
    framer.receive(b"{\x80" + data.replace(b"\n", b"\x00"), 0)
    assert not framer.partial
    assert framer.held == 0
