"""Whose a flow is while ports come round again."""

import pytest

from davylamp.attribution.hosts.model import Agent, Translation, choose

WATCH = 50.0


def whose(ip: str, since: float, until: float | None = None, watch: float = WATCH) -> Translation:
    """Return that a flow was an inner address's from then on."""
    return Translation(host="w", ip=ip, port=1, since=since, until=until, watch=watch)


def chosen(*known: Translation, at: float, seen: float = 1e9, watch: float = WATCH) -> str:
    """Return whose the flow is, or why that is not known."""
    agent = Agent(name="w", id="1", addresses=(), watch=watch, seen=seen)
    answer = choose(known, {"w": agent}, "w", at)
    return answer.translation.ip if answer.translation else answer.reason


NONE, GAP = "the agent on w knows of no such flow", "the agent on w was not watching then"


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (90.0, NONE),
        (99.0, "a"),  # the event was read a second after the packet was seen
        (150.0, "a"),
        (201.0, "a"),
        (250.0, NONE),
        (298.5, "b"),
        (1000.0, "b"),
    ],
)
def test_each_has_it_in_its_time(at: float, expected: str) -> None:
    """One had the port from 100 to 200, the other has it since 300."""
    assert chosen(whose("b", 300.0), whose("a", 100.0, 200.0), at=at) == expected


def test_an_end_that_is_told_with_the_next_begin_is_no_riddle() -> None:
    """The kernel often notices that a flow is over when its port is wanted again."""
    known = whose("a", 100.0, 300.0), whose("b", 300.0)
    assert (chosen(*known, at=299.0), chosen(*known, at=297.0)) == ("b", "a")


def test_what_nobody_watched_is_not_guessed_at() -> None:
    """A flow whose end could have been missed is nobody's; one whose end was told is somebody's."""
    assert chosen(whose("a", 100.0), at=150.0, seen=150.0) == GAP  # the next may be on its way
    assert chosen(whose("a", 100.0, 150.0), at=150.0, seen=150.0) == GAP
    assert chosen(whose("a", 100.0), at=105.0, seen=100.0) == GAP  # however young it is
    assert chosen(whose("a", WATCH), at=WATCH + 5, seen=WATCH) == GAP  # older than is known
    assert chosen(whose("a", 100.0), at=150.0, watch=120.0) == GAP
    assert chosen(whose("a", 100.0, 160.0), at=150.0, watch=170.0) == "a"
    assert choose([whose("a", 100.0)], {}, "w", 150.0).reason == GAP
