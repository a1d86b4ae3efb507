"""ECH keys are gone from answers over TCP wherever it is cut, and come again as they were."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.effort import calls
from tests.inspection.wire.test_dns_ech import ALPN, ECH, HINT6, message, parameter, parsed
from tests.streams import over_tcp

from davylamp.inspection.wire.dns import ServiceBinding
from davylamp.keyless import KeylessAnswers

FIRST = 0xFFFFFFF0
"""Sequence numbers go round within the first segments."""
VERSION = b"\xfe\x0d"
KEYED = over_tcp(message(ALPN, ECH, HINT6))


class Road:
    """A connection's segments on their way to whoever asked."""

    def __init__(self) -> None:
        self.answers = KeylessAnswers()

    def carry(self, at: int, segment: bytes) -> bytes:
        """Return what arrives of a segment that begins so many bytes into the stream."""
        changed = self.answers.change((FIRST + at) & 0xFFFFFFFF, segment)
        assert changed is not None
        assert len(changed) == len(segment)
        return changed


def usable(stream: bytes) -> bool:
    """Tell whether a client finds a key that it knows."""
    value = parsed(stream[2:]).answers[0].value
    assert isinstance(value, ServiceBinding)
    assert value.alpn == ("h2", "h3")
    return value.ech and VERSION in stream


def test_a_length_by_itself_hides_nothing() -> None:
    """Some resolvers write it first: the record is changed as in one segment."""
    road = Road()
    arrived = road.carry(0, KEYED[:2]) + road.carry(2, KEYED[2:])
    assert arrived == Road().carry(0, KEYED)
    assert not usable(arrived)
    assert usable(KEYED)


@pytest.mark.parametrize("cut", range(1, len(KEYED)))
def test_no_cut_saves_a_key(cut: int) -> None:
    """In the record, in the key's number, in its version: none is usable, and the rest stays."""
    road = Road()
    arrived = road.carry(0, KEYED[:cut]) + road.carry(cut, KEYED[cut:])
    assert not usable(arrived)
    assert parsed(arrived[2:]).answers[1:] == parsed(KEYED[2:]).answers[1:]


def test_a_message_is_no_more_work_in_many_segments() -> None:
    """What has passed is not read again with each of them."""
    long = over_tcp(message(*(parameter(key, b"") for key in range(7, 15_007))))

    def work(size: int) -> int:
        road = Road()
        cuts = range(0, len(long), size)
        return calls(lambda: [road.carry(at, long[at : at + size]) for at in cuts])

    assert work(536) < 2 * work(16_384)


@given(st.lists(st.integers(1, 60), min_size=1), st.lists(st.integers(0, 600), max_size=20))
def test_segments_come_again_as_they_were(sizes: list[int], again: list[int]) -> None:
    """Several messages in any pieces; whatever is sent again, in other pieces, is the same."""
    stream = KEYED + over_tcp(message(ALPN)) + KEYED + KEYED
    road, arrived = Road(), b""
    while len(arrived) < len(stream):
        size = sizes[len(arrived) % len(sizes)]
        arrived += road.carry(len(arrived), stream[len(arrived) : len(arrived) + size])
        for at in again[:3]:
            piece = slice(at % len(arrived), len(arrived))
            assert road.carry(piece.start, stream[piece]) == arrived[piece]
    assert len(arrived) == len(stream)
    at = 0
    for whole in (KEYED, over_tcp(message(ALPN)), KEYED, KEYED):
        assert not usable(arrived[at : at + len(whole)])
        at += len(whole)


def test_a_piece_sent_again_may_bring_more() -> None:
    """What passed comes as it passed, and what is new behind it is changed as well."""
    road = Road()
    road.carry(0, KEYED[:60])
    assert not usable(road.carry(0, KEYED))


def test_what_overtook_waits_for_what_is_missing() -> None:
    """Nothing tells what message it belongs to; it passes when TCP sends it again."""
    road = Road()
    cut = len(KEYED) + 50
    stream = KEYED * 3
    arrived = road.carry(0, stream[:cut])
    assert road.answers.change(FIRST + cut + 10 & 0xFFFFFFFF, stream[cut + 10 :]) is None
    arrived += road.carry(cut, stream[cut : cut + 10])
    arrived += road.carry(cut + 10, stream[cut + 10 :])
    for at in range(0, len(stream), len(KEYED)):
        assert not usable(arrived[at : at + len(KEYED)])


@given(st.lists(st.integers(1, 90), min_size=1), st.randoms(use_true_random=False))
def test_no_order_saves_a_key(sizes: list[int], random: Random) -> None:
    """Whatever overtakes what, and is sent how often, all arrives, and alike each time."""
    stream, road, cuts = KEYED * 4, Road(), [0]
    while cuts[-1] < len(stream):
        cuts.append(min(len(stream), cuts[-1] + sizes[len(cuts) % len(sizes)]))
    arrived = bytearray(len(stream))
    arrived[: cuts[1]] = road.carry(0, stream[: cuts[1]])
    waiting, passed = list(pairwise(cuts))[1:], [(0, cuts[1])]
    while waiting:
        begin, end = random.choice(waiting + passed)
        changed = road.answers.change((FIRST + begin) & 0xFFFFFFFF, stream[begin:end])
        assert (changed is None) is ((begin, end) not in {*passed, waiting[0]})
        if changed is not None and (begin, end) in passed:
            assert changed == arrived[begin:end]
        elif changed is not None:
            arrived[begin:end] = changed
            passed.append(waiting.pop(0))
    for at in range(0, len(stream), len(KEYED)):
        assert not usable(bytes(arrived[at : at + len(KEYED)]))


def test_the_first_segment_begins_a_message() -> None:
    """The gateway was not there before; what was before it may still come, if it belongs there."""
    road = Road()
    arrived = road.carry(100, KEYED[100:])
    assert road.answers.change((FIRST + 10) & 0xFFFFFFFF, KEYED[10:90]) is None
    arrived = road.carry(0, KEYED[:100]) + arrived
    assert not usable(arrived)
    assert road.carry(0, KEYED) == arrived
    arrived = road.carry(len(KEYED), KEYED)
    assert not usable(arrived)
    # Once: a stream that came from its end to its beginning would be read for each segment of it.
    assert road.answers.change((FIRST - len(KEYED)) & 0xFFFFFFFF, KEYED) is None


def test_as_much_is_kept_as_a_packet_has() -> None:
    """The largest segment comes again as it was; what is older than all that is kept does not."""
    many = KEYED * (65_536 // len(KEYED))
    road = Road()
    for at in (0, len(many)):
        assert road.carry(at, many) == road.carry(at, many)
        assert VERSION in many
    assert road.answers.change(FIRST, many) is None
    assert road.answers.held <= 67 * 1024


def test_what_is_kept_is_bounded() -> None:
    """However long a connection lasts, and however large a message says it is."""
    road = Road()
    for number in range(200):
        road.carry(number * 4_000, over_tcp(bytes(3_998)))
        assert road.answers.held <= 67 * 1024
    for number in range(200):
        road.carry(800_000 + number * 1_000, b"\xff" * 1_000)
        assert road.answers.held <= 67 * 1024
