"""Reassembly against tables and against a model that simply knows the whole stream."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.reassembly import Delivery, Stream, StreamLimits

LIMITS = StreamLimits()

# name, [(offset, bytes)], stream expected, conflict expected
CASES = [
    ("in order", [(0, b"abc"), (3, b"def")], b"abcdef", False),
    ("retransmission", [(0, b"abc"), (0, b"abc"), (3, b"d")], b"abcd", False),
    ("out of order", [(0, b"ab"), (4, b"ef"), (2, b"cd")], b"abcdef", False),
    ("overlap, same bytes", [(0, b"abcd"), (2, b"cdef")], b"abcdef", False),
    ("overlap, other bytes", [(0, b"abcd"), (2, b"XXef")], b"abcd", True),
    ("held overlap, other bytes", [(0, b"a"), (3, b"de"), (2, b"cX")], b"a", True),
    ("filler contradicts held", [(0, b"a"), (3, b"de"), (1, b"bcX")], b"a", True),
    ("filler spans held", [(0, b"a"), (2, b"c"), (1, b"bcde")], b"abcde", False),
    ("first segment seen second", [(3, b"def"), (0, b"abc")], b"abcdef", False),
    ("hole before what was seen first", [(4, b"ef"), (0, b"ab"), (2, b"cd")], b"abcdef", False),
    ("rewind contradicts", [(2, b"cdef"), (0, b"abX")], b"cdef", True),
]


def play(
    segments: list[tuple[int, bytes]], isn: int, limits: StreamLimits = LIMITS
) -> tuple[bytes, bool, Stream]:
    """Feed segments given by offset; return the stream as the inspector would hold it."""
    first = segments[0][0]
    stream = Stream(limits, (isn + first) % 2**32)
    seen, conflict = b"", False
    for offset, data in segments:
        got = stream.receive((isn + offset) % 2**32, data)
        seen = got.data if got.rewound else seen + got.data
        conflict = conflict or got.conflict
    return seen, conflict, stream


@pytest.mark.parametrize("isn", [0, 1000, 2**32 - 4, 2**31 - 2])
@pytest.mark.parametrize(("name", "segments", "expected", "conflict"), CASES)
def test_segments_become_the_stream(
    name: str, segments: list[tuple[int, bytes]], expected: bytes, conflict: bool, isn: int
) -> None:
    """Each order of segments gives the stream its sender meant, wherever the numbers wrap."""
    seen, met_conflict, _ = play(segments, isn)
    assert (seen, met_conflict) == (expected, conflict), name


@settings(max_examples=200, deadline=None)
@given(
    st.binary(min_size=1, max_size=400), st.randoms(use_true_random=False), st.integers(0, 2**32)
)
def test_any_order_of_any_cuts_gives_the_stream(data: bytes, rng: random.Random, isn: int) -> None:
    """However a stream is cut, repeated, overlapped and shuffled, the bytes come out once."""
    cuts = sorted({0, len(data), *(rng.randrange(len(data) + 1) for _ in range(6))})
    segments = [(a, data[a:b]) for a, b in itertools.pairwise(cuts) if a < b]
    for _ in range(4):
        a = rng.randrange(len(data))
        segments.append((a, data[a : a + rng.randrange(1, 50)]))
    rng.shuffle(segments)
    seen, conflict, stream = play(segments, isn)
    assert not conflict
    assert seen == data
    assert not stream.waiting
    assert stream.next_seq == (isn + len(data)) % 2**32


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2**32 - 1), st.binary(min_size=1, max_size=64)), max_size=80)
)
def test_hostile_segments_stay_within_bounds(segments: list[tuple[int, bytes]]) -> None:
    """Segments with any numbers never raise and never hold more than the limits."""
    limits = StreamLimits(history=128, pending=256, pending_segments=8, rewind=512)
    stream = Stream(limits, 0)
    for seq, data in segments:
        stream.receive(seq, data)
        assert stream.pending_bytes <= limits.pending + limits.history + 64
        # Held segments are counted with what Python needs for each of them, 128 bytes.
        segments_cost = 128 * limits.pending_segments
        assert stream.held <= limits.pending + 2 * (limits.history + 128) + segments_cost


def test_a_refused_segment_can_come_again() -> None:
    """A segment beyond the pending bound is refused whole and accepted when it is in order."""
    limits = StreamLimits(pending=4)
    stream = Stream(limits, 0)
    assert stream.receive(0, b"ab").data == b"ab"
    assert stream.receive(4, b"efghij").refused
    assert stream.receive(2, b"cd").data == b"cd"
    assert stream.receive(4, b"efghij").data == b"efghij"


def test_skipping_a_hole_says_how_large_it_was() -> None:
    """A hole in a capture is given up on request, and what was held behind it comes out."""
    stream = Stream(LIMITS, 100)
    stream.receive(100, b"ab")
    stream.receive(110, b"later")
    assert stream.skip_to_pending() == (8, b"later")
    assert stream.next_offset == 15
    assert stream.skip(120) == (5, b"")
    assert stream.receive(120, b"x").offset == 20


def test_bytes_far_before_are_read_although_what_was_held_is_gone() -> None:
    """The receiver may wait for them still: they fill a hole that nobody has seen filled."""
    stream = Stream.begun(StreamLimits(history=100), 500_000, b"x" * 150, anchored=False)
    delivery = stream.receive(400_000, b"login")
    assert (delivery.data, delivery.rewound, stream.next_seq) == (b"login", True, 400_005)
    assert stream.receive(400_005, b" more").data == b" more"
    anchored = Stream.begun(StreamLimits(history=100), 500_000, b"x" * 150, anchored=True)
    assert anchored.receive(400_000, b"login") == Delivery()


def test_a_stream_that_is_rewound_again_and_again_stays_within_bounds() -> None:
    """Each segment lies before all others, with a hole between."""
    limits = StreamLimits()
    stream = Stream.begun(limits, 900_000, b"y" * 500, anchored=False)
    refused = 0
    for number in range(1, 1500):
        refused += stream.receive(900_000 - 502 * number, b"z" * 501).refused
        assert stream.held <= limits.pending + limits.history + 128 * (limits.pending_segments + 1)
    assert refused > 1000


def test_bytes_older_than_the_history_are_not_compared() -> None:
    """What was forgotten cannot contradict; memory stays bounded instead."""
    stream = Stream(StreamLimits(history=4), 0)
    for n in range(10):
        stream.receive(n * 4, b"aaaa")
    assert not stream.receive(0, b"XXXX").conflict
    assert stream.receive(36, b"XXXX").conflict
    assert stream.held <= 8
