"""Cutting never changes the bytes, only their segments."""

import pytest

from davylamp.lab.programs.wire import WireStyle, batches, segments

LINE = b'{"id":1}\n'


@pytest.mark.parametrize(
    ("style", "count"),
    [
        (WireStyle.WHOLE, 1),
        (WireStyle.TWO_IN_ONE, 1),
        (WireStyle.HALVES, 2),
        (WireStyle.LATE_NEWLINE, 2),
        (WireStyle.BYTEWISE, len(LINE)),
    ],
)
def test_segments_hold_the_line(style: WireStyle, count: int) -> None:
    """Each style cuts the line into its number of pieces and loses nothing."""
    pieces = list(segments(style, LINE))
    assert len(pieces) == count
    assert b"".join(pieces) == LINE


def test_no_newline_leaves_only_that_out() -> None:
    """The unterminated style sends the whole request but its newline."""
    assert list(segments(WireStyle.NO_NEWLINE, LINE)) == [LINE[:-1]]


def test_two_in_one_pipelines_the_first_two() -> None:
    """Only two-in-one sends a second request before the first is answered."""
    assert [list(one) for one in batches(WireStyle.TWO_IN_ONE, "abc")] == [["a", "b"], ["c"]]
    assert [list(one) for one in batches(WireStyle.WHOLE, "abc")] == [["a"], ["b"], ["c"]]
