"""What policy has done about which incidents."""

import pytest
from msgspec.structs import replace

from davylamp.actions.model import Kind
from davylamp.actions.plan import ActionPolicy, Rule, When, plan
from davylamp.attribution.model import Grade
from davylamp.events import LineageInfo
from davylamp.incidents.model import Call, Incident, Level, Matched, Status

WHO = LineageInfo(
    grade="bound",
    container="sandbox-7",
    container_id="c1",
    lifecycle_id="c1@1",
    run_id="run-1",
    rollout_id="r-3",
    step=4,
)
LOGIN = Matched(
    signature_id="s", signature="Login", category="mining", severity=1, confidence=95, alerts=1
)
INCIDENT = Incident(
    id="inc-1",
    subject="c1@1 run-1",
    first_seen="2026-01-01T00:00:00+00:00",
    last_seen="2026-01-01T00:00:00+00:00",
    severity=Level.HIGH,
    title="Login",
    who=WHO,
    sources=("10.0.0.7",),
    signatures=(LOGIN,),
)
EVERYTHING = tuple(Kind)


def doing(*do: Kind, **when: object) -> ActionPolicy:
    """Return a policy of one rule."""
    return ActionPolicy((Rule(When(**when), do),))  # type: ignore[arg-type]


def graded(grade: str) -> Incident:
    """Return the incident with somebody of that grade."""
    return replace(INCIDENT, who=replace(WHO, grade=grade))


# name, incident, rule's condition, whether anything is to be done
WHENS: list[tuple[str, Incident, dict[str, object], bool]] = [
    ("no condition", INCIDENT, {}, True),
    ("grave enough", INCIDENT, {"severity_at_least": Level.HIGH}, True),
    ("not grave enough", INCIDENT, {"severity_at_least": Level.CRITICAL}, False),
    ("a category of it", INCIDENT, {"categories": frozenset({"mining", "pool"})}, True),
    ("no category of it", INCIDENT, {"categories": frozenset({"pool"})}, False),
    ("observed by default", graded("observed"), {}, True),
    ("declared by default", graded("declared"), {}, False),
    ("declared where it may", graded("declared"), {"grade_at_least": Grade.DECLARED}, True),
    ("observed where it must be bound", graded("observed"), {"grade_at_least": Grade.BOUND}, False),
    ("stale never", graded("stale"), {"grade_at_least": Grade.STALE}, False),
    ("unknown never", graded("unknown"), {"grade_at_least": Grade.UNKNOWN}, False),
    ("a grade of another version", graded("divined"), {}, False),
    ("nobody", replace(INCIDENT, who=None), {}, False),
    ("no lifecycle", replace(INCIDENT, who=replace(WHO, lifecycle_id="")), {}, False),
    ("put to rest", replace(INCIDENT, status=Status.RESOLVED), {}, False),
]


@pytest.mark.parametrize(("name", "incident", "when", "acts"), WHENS, ids=[one[0] for one in WHENS])
def test_who_is_acted_on(
    name: str, incident: Incident, when: dict[str, object], acts: bool
) -> None:
    """Only what a rule means, and never somebody who is only guessed."""
    assert bool(plan(incident, doing(Kind.QUARANTINE, **when))) is acts


def test_a_gateway_that_does_not_act_plans_nothing() -> None:
    """As one that observes, unless it is told to."""
    assert plan(INCIDENT, replace_acts(doing(*EVERYTHING))) == ()


def replace_acts(policy: ActionPolicy) -> ActionPolicy:
    """Return the policy of a gateway that does not act."""
    return ActionPolicy(policy.rules, acts=False)


def test_every_kind_has_its_target_and_is_planned_once() -> None:
    """Rules add up; a tag is on the record already."""
    policy = ActionPolicy(
        (Rule(do=(Kind.QUARANTINE, Kind.TAG)), Rule(do=EVERYTHING)), quarantine_seconds=60.0
    )
    found = {one.kind: one for one in plan(INCIDENT, policy)}
    assert next(iter(found)) is Kind.QUARANTINE
    assert found.keys() == set(EVERYTHING) - {Kind.TAG}
    assert found[Kind.QUARANTINE].target == "c1@1"
    assert found[Kind.QUARANTINE].seconds == 60
    assert found[Kind.DOCKER_PAUSE].target == "c1"
    assert found[Kind.FEEDBACK].id == "inc-1/feedback/run-1/r-3/"
    nameless = replace(INCIDENT, who=LineageInfo(grade="bound", lifecycle_id="x@1"))
    kinds = {one.kind for one in plan(nameless, policy)}
    assert kinds.isdisjoint({Kind.DOCKER_STOP, Kind.FEEDBACK})


def test_the_trainer_hears_of_each_tool_call_that_did_it() -> None:
    """By the call's own rollout and step; of candidates, all are named and none is picked."""
    calls = (
        Call(tool_call_id="t1", sure=True, alerts=1, step=5, rollout_id="r-9"),
        Call(tool_call_id="t2", sure=True, alerts=1),
        Call(tool_call_id="t3", sure=False, alerts=1),
    )
    sure = plan(replace(INCIDENT, calls=calls), doing(Kind.FEEDBACK))
    assert [(one.rollout_id, one.tool_call_id, one.step) for one in sure] == [
        ("r-9", "t1", 5),
        ("r-3", "t2", 4),
    ]
    guessed = replace(INCIDENT, calls=(calls[2], replace(calls[2], tool_call_id="t4")))
    (only,) = plan(guessed, doing(Kind.FEEDBACK))
    assert (only.tool_call_id, only.candidates, only.step) == ("", ("t3", "t4"), 4)
