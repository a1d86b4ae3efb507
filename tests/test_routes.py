"""When connections seen by halves make an asymmetric route, and when they are only strays."""

import pytest

from davylamp.routes import LEAST, WINDOW_SECONDS, Seen, Window


def looked(*readings: Seen, every: float = 5.0) -> Window:
    """Take readings, one every so many seconds."""
    window = Window()
    for number, reading in enumerate(readings):
        window.take(reading, 1000.0 + number * every)
    return window


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        pytest.param(Seen(both=10_000), "", id="all-whole"),
        pytest.param(Seen(originator=LEAST - 1), "", id="too-few"),
        pytest.param(Seen(10_000, 50, 50), "", id="too-small-a-part"),
        pytest.param(Seen(180, 20, 0), "of 200 TCP connections", id="a-tenth"),
        pytest.param(Seen(0, 20, 0), "no answer of 20 came by here; lead", id="no-answers"),
        pytest.param(Seen(5, 0, 20), "5 min: only the answer of 20 did; lead", id="only-answers"),
        pytest.param(Seen(5, 12, 10), "no answer of 12 came by here, only", id="both-kinds"),
    ],
)
def test_many_halves_and_a_good_part_are_said(seen: Seen, said: str) -> None:
    """Either alone is not."""
    problem = looked(Seen(), seen).problem()
    assert said in problem if said else not problem


def test_what_was_half_way_at_the_start_does_not_count() -> None:
    """The first reading is where counting begins."""
    assert not looked(Seen(0, 0, 90), Seen(1, 0, 91)).problem()


def test_it_is_over_when_the_window_has_passed() -> None:
    """The total stays; what is said is of the last minutes."""
    window = looked(Seen(), Seen(originator=LEAST))
    window.take(Seen(originator=LEAST), 1004.0 + WINDOW_SECONDS)
    assert window.problem()
    window.take(Seen(originator=LEAST), 1005.0 + WINDOW_SECONDS)
    assert not window.problem()
    assert window.total == Seen(originator=LEAST)


def test_rules_put_in_force_anew_count_from_nothing() -> None:
    """What they have counted by the next look is added, not taken off."""
    window = looked(Seen(), Seen(7, 30, 0), Seen(2, 5, 0))
    assert window.total == Seen(9, 35, 0)
