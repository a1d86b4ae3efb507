"""What the demonstration claims of what it saw: every claim can fail."""

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from davylamp.demo.results import Attempt, BenignResult, Results
from davylamp.events import Action, LineageInfo, VerdictInfo


def test_all_claims_hold_where_all_went_well(results: Results) -> None:
    """A run in which the miner was cut and named, and work went on, is a success."""
    assert results.success
    assert results.blocked
    assert results.attributed
    assert results.undisturbed


def other_lineage(results: Results) -> None:
    """Name another container."""
    [alert] = results.alerts
    results.alerts = [
        msgspec.structs.replace(alert, lineage=LineageInfo(grade="bound", container="sandbox-8"))
    ]


def only_told(results: Results) -> None:
    """Have nothing rejected."""
    [alert] = results.alerts
    results.alerts = [msgspec.structs.replace(alert, verdict=VerdictInfo(action=Action.ALERT))]


def disturb(results: Results) -> None:
    """Have a download broken."""
    results.benign[0] = replace(results.benign[0], good=False)


# name, what went otherwise, the claim that does not hold then
CASES: list[tuple[str, Callable[[Results], None], str]] = [
    ("a share", lambda it: it.attempts.append(Attempt("x", "mined", 1)), "blocked"),
    ("a hang", lambda it: it.attempts.append(Attempt("x", "timed_out", 0)), "blocked"),
    ("no attempt", lambda it: it.attempts.clear(), "blocked"),
    ("a request", lambda it: setattr(it, "pool_requests", 1), "blocked"),
    ("nothing rejected", only_told, "blocked"),
    ("no alert", lambda it: it.alerts.clear(), "attributed"),
    ("another name", other_lineage, "attributed"),
    ("another tool call", lambda it: setattr(it, "expected_call", "call-5"), "attributed"),
    ("a broken download", disturb, "undisturbed"),
    ("no honest work", lambda it: it.benign.clear(), "undisturbed"),
    ("no tag", lambda it: setattr(it, "tagged", False), "tagged"),
]


@pytest.mark.parametrize(("name", "change", "claim"), CASES, ids=[case[0] for case in CASES])
def test_each_claim_fails_alone(
    results: Results, name: str, change: Callable[[Results], None], claim: str
) -> None:
    """What went wrong shows in its own claim, and in the whole."""
    change(results)
    assert not getattr(results, claim), name
    assert not results.success


def test_work_that_could_not_be_tried_proves_nothing(results: Results) -> None:
    """Where everything was skipped, nothing is said to be undisturbed."""
    results.benign = [BenignResult("git", good=True, detail="", skipped=True)]
    assert not results.undisturbed


def test_the_ratio_is_of_the_middle_ones(results: Results) -> None:
    """One slow and one fast download say nothing."""
    assert results.throughput is not None
    assert results.throughput.ratio == pytest.approx(0.9)
