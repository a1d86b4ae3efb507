"""Whether what was to be seen was seen: in the sandbox, and through the gateway's API."""

import time
from collections.abc import Callable

import msgspec

from davylamp.api.model import FlowPage, IncidentPage, IncidentView
from davylamp.lineage import Client
from davylamp.scenarios.model import Called, Fate, Result, Rolled
from davylamp.scenarios.stage import Stage

PATIENCE = 15.0
"""Seconds in which an incident, and what is done about it, must have been told."""
_POLL = 0.25
_SETTLED = 1.0
_SURE = frozenset({"bound", "token", "observed"})


def judge(result: Result, rolled: list[Rolled], stage: Stage, trainer: Client) -> None:
    """Add a check to the result for all that was to be seen."""
    for one in rolled:
        for call in one.calls:
            _sandbox_saw(result, one, call)
    page = stage.fetch("/")
    result.expect("the dashboard is served", b"<html" in page.lower(), f"{len(page)} bytes")
    views = _views(result, rolled, stage)
    result.incidents = tuple(view.incident.id for view in views)
    for one in rolled:
        if one.rollout.blocked:
            _gateway_told(result, one, views, stage, trainer)
    if result.scenario.recurs:
        _recurrence_told(result, rolled, views)
    if result.scenario.fate is Fate.PASSES:
        result.expect("no incident", not views, ", ".join(result.incidents) or "none")


def _sandbox_saw(result: Result, one: Rolled, call: Called) -> None:
    said = call.done.output.strip().splitlines()
    last = said[-1][-200:] if said else "(silent)"
    result.expect(
        f"{one.facts.container}: {' '.join(call.step.argv[:3])} … {call.step.fate}",
        call.as_expected,
        f"exit status {call.done.status}: {last}",
    )


def _views(result: Result, rolled: list[Rolled], stage: Stage) -> list[IncidentView]:
    """Return the incidents of the experiment, once there are as many as are expected."""
    wanted = sum(one.rollout.blocked for one in rolled)

    def ask() -> list[str]:
        raw = stage.fetch(f"/api/v1/incidents?experiment={result.experiment_id}")
        page = msgspec.json.decode(raw, type=IncidentPage) if raw else IncidentPage(incidents=())
        return [brief.id for brief in page.incidents]

    if not wanted:
        time.sleep(_SETTLED)  # an incident that must not come has no moment to wait for
    found = _until(ask, lambda ids: len(ids) >= wanted)
    raw = (stage.fetch(f"/api/v1/incidents/{one}") for one in found)
    return [msgspec.json.decode(each, type=IncidentView) for each in raw if each]


def _gateway_told(
    result: Result, one: Rolled, views: list[IncidentView], stage: Stage, trainer: Client
) -> None:
    facts, scenario = one.facts, result.scenario
    view = next(
        (v for v in views if v.incident.who and v.incident.who.container == facts.container), None
    )
    result.expect(f"{facts.container}: an incident", view is not None, f"{len(views)} in all")
    if view is None or view.incident.who is None:
        return
    incident, who = view.incident, view.incident.who
    alerts = [alert for alert in view.alerts if alert.alert.category == scenario.category]
    about = f"{facts.container}: {incident.id}"
    result.expect(
        f"{about} is {scenario.category}, rejected, nothing delivered",
        bool(alerts) and incident.actions.get("reject", 0) > 0 and incident.delivered == 0,
        f"{incident.title}; {incident.actions}, {incident.delivered} delivered",
    )
    spoken = {alert.mining.dialect for alert in alerts if alert.mining}
    layers = {layer for alert in alerts if alert.mining for layer in alert.mining.layers}
    if scenario.dialect:
        result.expect(
            f"{about} speaks {scenario.dialect}", spoken == {scenario.dialect}, str(spoken)
        )
    if scenario.layer:
        result.expect(f"{about} is inside {scenario.layer}", scenario.layer in layers, str(layers))
    guilty = {call.tool_call_id for call in one.calls if call.step.fate is Fate.BLOCKED}
    told = {call.tool_call_id for call in incident.calls if call.sure}
    result.expect(
        f"{about} names run, rollout and tool call",
        (who.run_id, who.rollout_id, told) == (facts.run_id, facts.rollout_id, guilty)
        and who.grade in _SURE,
        f"{who.grade}: {who.run_id}, {who.rollout_id}, {', '.join(told)}",
    )
    verdict = _until(
        lambda: trainer.rollout_verdict(run_id=facts.run_id, rollout_id=facts.rollout_id),
        lambda found: found is not None and not found.valid,
    )
    result.expect(
        f"{about} has the rollout masked",
        verdict is not None and not verdict.valid and verdict.incident_id == incident.id,
        verdict.reason if verdict else "no verdict",
    )
    flows = msgspec.json.decode(stage.fetch("/api/v1/flows"), type=FlowPage).flows
    shown = [flow for flow in flows if flow.incident_id == incident.id]
    result.expect(
        f"{about} is on the dashboard's list of flows",
        any(flow.action == "reject" for flow in shown),
        f"{len(shown)} of {len(flows)} flows",
    )


def _recurrence_told(result: Result, rolled: list[Rolled], views: list[IncidentView]) -> None:
    """Look whether the last run's incident names the runs before it, by the wallet."""
    last = rolled[-1].facts
    earlier = {one.facts.run_id for one in rolled[:-1]}
    named: set[str] = set()
    for view in views:
        if view.incident.who and view.incident.who.container == last.container:
            for each in view.incident.recurrence:
                named |= set(each.runs) if each.kind == "wallet" else set()
    result.expect(
        f"{last.run_id} is told as the wallet of {', '.join(sorted(earlier))}",
        named == earlier,
        ", ".join(sorted(named)) or "no earlier run",
    )


def _until[T](ask: Callable[[], T], enough: Callable[[T], bool]) -> T:
    deadline = time.monotonic() + PATIENCE
    while not enough(found := ask()) and time.monotonic() < deadline:
        time.sleep(_POLL)
    return found
