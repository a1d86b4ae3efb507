"""The cursor never reads past its end, and printable text is printable."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.inspection.wire.reader import Cursor, printable


def test_reads_are_big_endian() -> None:
    """Numbers come out big-endian, one after the other."""
    cursor = Cursor(b"\x01\x02\x03\x04\x05\x06\x07rest")
    assert (cursor.u8(), cursor.u16(), cursor.u32()) == (1, 0x0203, 0x04050607)
    assert (cursor.take(2), cursor.left) == (b"re", 2)


def test_reading_past_the_end_raises() -> None:
    """Too few bytes raise EOFError and leave the cursor where it was."""
    cursor = Cursor(b"abc", 1)
    for read in (
        cursor.u32,
        lambda: cursor.take(3),
        lambda: cursor.take(-1),
        lambda: cursor.sub(9),
    ):
        with pytest.raises(EOFError):
            read()
    assert cursor.take(2) == b"bc"
    with pytest.raises(EOFError):
        cursor.u8()


def test_sub_cursor_is_bounded_and_stepped_over() -> None:
    """A part is read on its own, at the offsets of the whole."""
    cursor = Cursor(b"abcdef")
    part = cursor.sub(2)
    assert (part.take(2), part.left, cursor.at, part.at) == (b"ab", 0, 2, 2)
    with pytest.raises(EOFError):
        part.u8()
    assert Cursor(b"ab", end=99).left == 2


@given(st.binary(max_size=50))
@settings(max_examples=200, deadline=None)
def test_printable(raw: bytes) -> None:
    """Whatever the bytes, the text is ASCII without controls; visible ASCII stays itself."""
    text = printable(raw)
    assert text.isascii()
    assert text.isprintable()
    if raw.isascii() and raw.decode().isprintable():
        assert text == raw.decode()
