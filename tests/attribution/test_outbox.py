"""What cannot be said now is said later: in order, bounded, and without blocking."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from davylamp.attribution.outbox import Outbox
from davylamp.errors import ConfigError, LineageUnavailable


class Road:
    """A road to a store that can be opened and closed, and what came through."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.arrived: list[int] = []

    def errand(self, number: int) -> Callable[[], int]:
        """Make an errand that arrives if the road is open."""

        def go() -> int:
            if not self.open.is_set():
                raise LineageUnavailable("closed")
            self.arrived.append(number)
            return number

        return go


@pytest.fixture
def road() -> Road:
    """Give a closed road."""
    return Road()


@pytest.fixture
def outbox() -> Iterator[Outbox]:
    """Give an outbox for three, closed in the end."""
    made = Outbox(limit=3)
    yield made
    made.close(0.0)


def drained(outbox: Outbox, seconds: float = 20.0) -> bool:
    """Wait until nothing waits."""
    deadline = time.monotonic() + seconds
    while len(outbox) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not len(outbox)


def test_an_open_road_is_used_at_once(outbox: Outbox, road: Road) -> None:
    """Without trouble an errand is done by the caller, who gets its result; there is no thread."""
    road.open.set()
    before = threading.active_count()
    assert outbox.send(road.errand(1)) == 1
    assert threading.active_count() == before


def test_what_waited_arrives_in_order(outbox: Outbox, road: Road) -> None:
    """After an outage everything kept arrives once, oldest first, without another call."""
    assert [outbox.send(road.errand(number)) for number in (1, 2, 3)] == [None] * 3
    road.open.set()
    assert drained(outbox)
    assert road.arrived == [1, 2, 3]
    assert outbox.send(road.errand(4)) == 4


def test_the_oldest_is_dropped_beyond_the_limit(outbox: Outbox, road: Road) -> None:
    """An outage of any length costs bounded memory, and the loss is counted."""
    for number in range(10):
        outbox.send(road.errand(number))
    assert (len(outbox), outbox.dropped) == (3, 7)
    road.open.set()
    assert drained(outbox)
    assert road.arrived == [7, 8, 9]


def test_closing_gives_up_after_its_time(road: Road) -> None:
    """A trainer that ends while the store is away is not kept, and learns what was lost."""
    outbox = Outbox()
    outbox.send(road.errand(1))
    assert outbox.close(0.05) == 1


def test_closing_waits_for_what_can_still_be_sent(road: Road) -> None:
    """What the store will take within the time is not given up."""
    outbox = Outbox()
    outbox.send(road.errand(1))
    road.open.set()
    assert outbox.close(20.0) == 0
    assert road.arrived == [1]


def test_a_refused_errand_does_not_block_the_rest(outbox: Outbox, road: Road) -> None:
    """An errand that is wrong is dropped with a warning, and the next is done."""

    def wrong() -> None:
        if not road.open.is_set():
            raise LineageUnavailable("closed")
        raise ConfigError("wrong")

    outbox.send(wrong)
    outbox.send(road.errand(1))
    road.open.set()
    assert drained(outbox)
    assert road.arrived == [1]
