"""Alerts fold into an incident: whose, how grave, how sure, how often before."""

import pytest
from msgspec.structs import replace
from tests.incidents.conftest import MakeAlert

from davylamp.events import Action, AlertEvent, CandidateInfo, LineageInfo, VerdictInfo, encode
from davylamp.incidents import chain, model
from davylamp.incidents.folding import fold, goes_on, opened, resolved, subject_of, trace_ids
from davylamp.incidents.model import Bounds, Incident, Level, Resolution, Status
from davylamp.incidents.recurrence import Earlier, entry, traits

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
GONE = VerdictInfo(action=Action.ALERT, delivered=True)


def folded(*alerts: AlertEvent, bounds: Bounds = model.BOUNDS) -> Incident:
    """Return the incident of these alerts."""
    incident = opened(alerts[0])
    for alert in alerts:
        incident = fold(incident, alert, encode(alert), (), bounds)
    return incident


def before(incident: Incident, alert: AlertEvent, *earlier: Earlier) -> Incident:
    """Return an incident with one more alert, whose traits these incidents have."""
    known = [(trait, earlier) for trait in traits(alert)]
    return fold(incident, alert, encode(alert), known)


def test_an_incident_is_a_containers_in_one_run(make_alert: MakeAlert) -> None:
    """Destinations do not divide it; another run, a stranger or a guess is another subject."""
    one = make_alert()
    assert subject_of(one) == subject_of(make_alert(dest_ip="203.0.113.1", dest_port=1))
    assert subject_of(one) != subject_of(make_alert(run="run-2"))
    guess = LineageInfo(grade="stale", container="c-run-1", lifecycle_id="c-run-1@1")
    for who in (guess, LineageInfo(grade="unknown"), None):
        assert subject_of(make_alert(lineage=who)) == "10.0.0.7"


def test_alerts_belong_together_within_the_window(make_alert: MakeAlert) -> None:
    """The pause between two counts, and one that comes late but is older belongs as well."""
    incident = folded(make_alert(at=1000))
    assert goes_on(incident, make_alert(at=1600))
    assert not goes_on(incident, make_alert(at=1601))
    assert goes_on(incident, make_alert(at=900))


def test_what_happened_is_counted_and_told_in_order(make_alert: MakeAlert) -> None:
    """Alerts, flows, actions, destinations and what went through."""
    incident = folded(
        make_alert(at=1000, flow_id=1),
        make_alert(at=1001, flow_id=1, verdict=GONE),
        make_alert(at=1002, flow_id=2, dest_port=4444),
    )
    assert (incident.alerts, incident.flows, incident.delivered) == (3, 2, 1)
    assert incident.actions == {"reject": 2, "alert": 1}
    assert [(one.port, one.alerts) for one in incident.destinations] == [(3333, 2), (4444, 1)]
    assert [one.action for one in incident.timeline] == ["reject", "alert", "reject"]
    assert model.decode(model.encode(incident)) == incident


def test_a_question_to_a_resolver_is_nothing_that_a_pool_got(make_alert: MakeAlert) -> None:
    """A pool's name was asked for; nobody there heard of it."""
    assert folded(make_alert(app_proto="dns", verdict=GONE)).delivered == 0


def test_every_list_is_bounded_and_what_is_beyond_counted(make_alert: MakeAlert) -> None:
    """A miner that tries a thousand pools costs no more than the bounds."""
    bounds = Bounds(alerts=5, members=4, timeline=6, flows=7)
    alerts = [make_alert(at=1000 + n, flow_id=n + 1, dest_port=n + 1) for n in range(50)]
    incident = folded(*alerts, bounds=bounds)
    assert (incident.alerts, incident.kept, incident.chain_length) == (50, 5, 5)
    assert len(incident.destinations) == 4
    assert len(incident.timeline) == 6
    assert incident.timeline[-1].at == alerts[-1].timestamp
    assert incident.flows == len(incident.flow_ids) == 7


@pytest.mark.parametrize(
    ("severity", "confidence", "delivered", "expected"),
    [
        (1, 100, False, Level.HIGH),
        (1, 79, False, Level.MEDIUM),
        (1, 100, True, Level.CRITICAL),
        (2, 80, False, Level.MEDIUM),
        (3, 95, False, Level.LOW),
        (3, 95, True, Level.MEDIUM),
        (4, 95, False, Level.INFO),
        (4, 10, False, Level.INFO),
    ],
)
def test_the_rule_of_severity(
    make_alert: MakeAlert, severity: int, confidence: int, *, delivered: bool, expected: Level
) -> None:
    """From the signature, down where it is not sure, up where something went through."""
    verdict = VerdictInfo(action=Action.REJECT, delivered=delivered)
    made = make_alert(severity=severity, confidence=confidence, verdict=verdict)
    incident = folded(made)
    assert incident.severity is expected
    assert incident.why


def test_severity_never_falls(make_alert: MakeAlert) -> None:
    """What was grave stays so, whatever lesser thing follows."""
    incident = folded(make_alert(), make_alert(at=1e9 + 1, severity=4, confidence=1))
    assert incident.severity is Level.HIGH


def test_the_third_time_in_an_experiment(make_alert: MakeAlert) -> None:
    """Earlier incidents of the experiment count, others, later ones and itself do not."""
    alert = make_alert("inc-3", at=3000, run="run-3")
    mine = entry(folded(alert))
    earlier = [
        Earlier(incident_id="inc-1", experiment_id="exp", run_id="run-1", first_seen="1970"),
        Earlier(incident_id="inc-2", experiment_id="exp", run_id="run-2", first_seen="1970-01"),
        Earlier(incident_id="inc-x", experiment_id="other", first_seen="1970"),
        Earlier(incident_id="inc-4", experiment_id="exp", first_seen="2999"),
        mine,
    ]
    incident = before(opened(alert), alert, *earlier)
    assert {one.kind: one.times for one in incident.recurrence} == {"wallet": 3, "destination": 3}
    assert incident.recurrence[0].incidents == ("inc-1", "inc-2")
    assert incident.recurrence[0].runs == ("run-1", "run-2")
    assert incident.severity is Level.CRITICAL


def test_a_destination_counts_for_severity_from_the_third_time(make_alert: MakeAlert) -> None:
    """Twice may be a mirror that many use; the wallet counts at once."""
    alert = make_alert("inc-2", wallet="", mining=None)
    one = Earlier(incident_id="inc-1", experiment_id="exp", first_seen="1970")
    two = replace(one, incident_id="inc-0")
    assert before(opened(alert), alert, one).severity is Level.HIGH
    assert before(opened(alert), alert, one, two).severity is Level.CRITICAL


def test_nothing_recurs_without_an_experiment(make_alert: MakeAlert) -> None:
    """Nobody says then what belongs together."""
    alert = make_alert("inc-2", lineage=LineageInfo(grade="unknown"))
    incident = before(opened(alert), alert, Earlier(incident_id="inc-1", first_seen="1970"))
    assert incident.recurrence == ()


def test_the_surest_attribution_is_kept_and_candidates_are_not_taken_for_it(
    make_alert: MakeAlert,
) -> None:
    """A stale guess gives way; overlapping calls are all listed, each with its place in a trace."""
    guess = LineageInfo(grade="stale", container="old", lifecycle_id="old@1")
    calls = (
        CandidateInfo(tool_call_id="a", tool="bash", step=3, traceparent=TRACEPARENT),
        CandidateInfo(tool_call_id="b", tool="python", step=3),
    )
    sure = LineageInfo(
        grade="bound", container="new", lifecycle_id="new@1", candidates=calls,
        traceparent=TRACEPARENT,
    )  # fmt: skip
    incident = folded(
        make_alert(lineage=guess), make_alert(lineage=sure), make_alert(lineage=guess)
    )
    assert incident.who is not None
    assert incident.who.container == "new"
    trace, span = trace_ids(TRACEPARENT)
    assert [(one.tool_call_id, one.sure, one.trace_id, one.span_id) for one in incident.calls] == [
        ("a", False, trace, span),
        ("b", False, trace, ""),
    ]


def test_an_alert_after_it_was_resolved_opens_it_again(make_alert: MakeAlert) -> None:
    """It was not over; the timeline says so, and who had thought so."""
    incident = folded(make_alert())
    resolution = Resolution(timestamp="2001-09-09T02:00:00+00:00", incident_id="inc-1", by="ada")
    rested = resolved(incident, resolution, model.encode(resolution))
    assert rested.status is Status.RESOLVED
    late = make_alert(at=1e9 + 60)
    again = fold(rested, late, encode(late))
    assert (again.status, again.reopened) == (Status.OPEN, 1)
    assert [one.by for one in again.timeline] == ["", "ada", "", ""]
    assert again.chain_length == 3


@pytest.mark.parametrize("damage", ["change", "drop", "swap", "add", "other"])
def test_a_chain_shows_every_change(damage: str) -> None:
    """Another event, one less, two that changed places, one more, and another incident's."""
    lines = [b"one", b"two", b"three"]
    whole = chain.digests("inc-1", lines)
    changed = {
        "change": ("inc-1", [b"one", b"twO", b"three"]),
        "drop": ("inc-1", [b"one", b"three"]),
        "swap": ("inc-1", [b"two", b"one", b"three"]),
        "add": ("inc-1", [*lines, b"four"]),
        "other": ("inc-2", lines),
    }[damage]
    assert chain.digests(*changed)[-1] != whole[-1]
    assert len(set(whole)) == 3
