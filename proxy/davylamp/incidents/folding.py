"""Many alerts, one incident: what one more alert makes of it.

An incident is what one container did in one run. Its subject is the container's lifecycle and the
run where lineage is sure of them, else the source address: what is only guessed to be a
container's is not counted against it. Where it went is in ``destinations``: a miner that tries
five pools is one reason to get up, not five. Alerts fold while no more than the window passes
between them; one that comes within the window after an incident was resolved opens it again,
because then it was not over.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec.structs import replace

from davylamp.events import ActionEvent, AlertEvent, LineageEvent, LineageInfo
from davylamp.incidents import chain
from davylamp.incidents.model import (
    BOUNDS,
    Bounds,
    Call,
    Destination,
    Incident,
    Level,
    Matched,
    Moment,
    Payee,
    Resolution,
    Status,
)
from davylamp.incidents.recurrence import Earlier, Trait, recurrence
from davylamp.incidents.severity import graver, severity
from davylamp.inspection.finding import AppProto
from davylamp.wording import endpoint

_GUESSES = ("stale", "unknown")
_GRADES = ("bound", "token", "observed", "declared", "stale", "unknown")


def subject_of(alert: AlertEvent) -> str:
    """Return whose incident an alert belongs to."""
    return subject(alert.src_ip, alert.lineage)


def subject(address: str, who: LineageInfo | None) -> str:
    """Return whose incident it is what an address did that is, or may be, somebody's."""
    if who is None or not who.lifecycle_id or who.grade in _GUESSES:
        return address
    return f"{who.lifecycle_id} {who.run_id}".rstrip()


def opened(alert: AlertEvent) -> Incident:
    """Return an incident that nothing was folded into yet, begun by this alert."""
    return Incident(
        id=alert.incident_id,
        subject=subject_of(alert),
        first_seen=alert.timestamp,
        last_seen=alert.timestamp,
        severity=Level.INFO,
        chain_head=chain.genesis(alert.incident_id),
    )


def goes_on(incident: Incident, alert: AlertEvent, window: float = BOUNDS.window) -> bool:
    """Tell whether an alert comes soon enough after an incident's last to belong to it."""
    return _seconds(incident.last_seen, alert.timestamp) <= window


def fold(
    incident: Incident,
    alert: AlertEvent,
    line: bytes,
    known: Sequence[tuple[Trait, Sequence[Earlier]]] = (),
    bounds: Bounds = BOUNDS,
) -> Incident:
    """Return the incident with one more alert; ``line`` is the alert as it is kept.

    ``known`` are the incidents that have the alert's traits.
    """
    keeps = incident.kept < bounds.alerts
    folded = replace(
        _with_facts(incident, alert, bounds),
        first_seen=min(incident.first_seen, alert.timestamp),
        last_seen=max(incident.last_seen, alert.timestamp),
        alerts=incident.alerts + 1,
        kept=incident.kept + keeps,
        delivered=incident.delivered + _reached(alert),
        actions=_counted(incident.actions, alert.verdict.action.value),
        timeline=_told(incident, alert, bounds),
        chain_length=incident.chain_length + keeps,
        chain_head=chain.link(incident.chain_head, line) if keeps else incident.chain_head,
    )
    if incident.status is Status.RESOLVED:
        folded = replace(folded, status=Status.OPEN, reopened=incident.reopened + 1)
    return judged(_with_recurrence(folded, known, bounds))


def resolved(incident: Incident, resolution: Resolution, line: bytes) -> Incident:
    """Return the incident put to rest; ``line`` is the resolution as it is kept."""
    said = f"resolved: {resolution.note}" if resolution.note else "resolved"
    moment = Moment(at=resolution.timestamp, what=said, by=resolution.by)
    return replace(
        incident,
        status=Status.RESOLVED,
        resolution=resolution,
        timeline=(*incident.timeline, moment),
        chain_length=incident.chain_length + 1,
        chain_head=chain.link(incident.chain_head, line),
    )


def acted(incident: Incident, event: ActionEvent, line: bytes, bounds: Bounds = BOUNDS) -> Incident:
    """Return the incident with what was done about it; ``line`` is the event as it is kept."""
    action = event.action
    moment = Moment(
        at=event.timestamp,
        what=f"{action.kind} {action.status}: {action.outcome}",
        to=action.target,
        by=action.by or f"gateway {action.gateway}",
    )
    return replace(
        incident,
        timeline=(*incident.timeline[: bounds.timeline - 1], moment),
        chain_length=incident.chain_length + 1,
        chain_head=chain.link(incident.chain_head, line),
    )


def attributed(
    incident: Incident, event: LineageEvent, line: bytes, bounds: Bounds = BOUNDS
) -> Incident:
    """Return the incident with what was learnt late; ``line`` is the event as it is kept.

    The alert keeps what it said: both stand in the chain, and the timeline says what became of it.
    """
    who, before = event.lineage, event.before
    earlier = f"{before.grade} {before.container}".rstrip() if before is not None else "nobody"
    moment = Moment(
        at=event.timestamp,
        what=f"attributed late: {earlier}, now {who.grade} {who.container}",
        tool_call_id=who.tool_call_id,
        flow_id=event.flow_id,
    )
    told = incident.who
    same = told is None or before is None or told.lifecycle_id == before.lifecycle_id
    return replace(
        incident,
        who=who if same else _surer(told, who),
        calls=_calls(incident.calls, who, bounds.members),
        timeline=(*incident.timeline[: bounds.timeline - 1], moment),
        chain_length=incident.chain_length + 1,
        chain_head=chain.link(incident.chain_head, line),
    )


def judged(incident: Incident) -> Incident:
    """Return the incident with its severity, its reasons and its title brought up to date."""
    level, why = severity(incident)
    worst = min(incident.signatures, key=lambda one: (one.severity, -one.confidence), default=None)
    return replace(
        incident,
        severity=graver(level, incident.severity),
        why=why,
        title=worst.signature if worst else "",
    )


def _with_facts(incident: Incident, alert: AlertEvent, bounds: Bounds) -> Incident:
    most, mining = bounds.members, alert.mining
    flow_ids = _joined(incident.flow_ids, alert.flow_id, bounds.flows)
    wallets, coins = incident.wallets, incident.coins
    if mining is not None and mining.wallet:
        payee = Payee(digest=mining.wallet_digest, shown=mining.wallet, coin=mining.coin, alerts=0)
        wallets = _merged(wallets, payee, lambda one: (one.digest, one.shown), most)
    if mining is not None and mining.coin:
        coins = _joined(coins, mining.coin, most)
    return replace(
        incident,
        who=_surer(incident.who, alert.lineage),
        sources=_joined(incident.sources, alert.src_ip, most),
        destinations=_merged(
            incident.destinations,
            Destination(
                ip=alert.dest_ip,
                port=alert.dest_port,
                name=alert.tls.sni if alert.tls else "",
                alerts=0,
            ),
            lambda one: (one.ip, one.port, one.name),
            most,
        ),
        signatures=_signatures(incident.signatures, alert, most),
        wallets=wallets,
        coins=coins,
        calls=_calls(incident.calls, alert.lineage, most),
        flows=len(flow_ids),
        flow_ids=flow_ids,
        evidence=_joined(incident.evidence, alert.pcap_file, bounds.flows),
        packs=_joined(incident.packs, alert.pack, most),
    )


def _signatures(known: tuple[Matched, ...], alert: AlertEvent, most: int) -> tuple[Matched, ...]:
    info = alert.alert
    best = max(
        (one.confidence for one in known if one.signature_id == info.signature_id), default=0
    )
    fresh = Matched(
        signature_id=info.signature_id,
        signature=info.signature,
        category=info.category,
        severity=info.severity,
        confidence=max(info.confidence, best),
        alerts=0,
    )
    return _merged(known, fresh, lambda one: one.signature_id, most)


def _calls(known: tuple[Call, ...], who: LineageInfo | None, most: int) -> tuple[Call, ...]:
    """Return the tool calls with those of one more attribution: the one, or all it may be."""
    if who is None:
        return known
    found: list[Call] = []
    if who.tool_call_id:
        trace, span = trace_ids(who.traceparent)
        found.append(
            Call(
                tool_call_id=who.tool_call_id,
                sure=True,
                alerts=0,
                tool=who.tool,
                step=who.step,
                rollout_id=who.rollout_id,
                trajectory_id=who.trajectory_id,
                trace_id=trace,
                span_id=span,
            )
        )
    else:
        for one in who.candidates:
            trace, span = trace_ids(one.traceparent)
            # The container's own trace holds the call's span, but does not say which it is.
            trace = trace or trace_ids(who.traceparent)[0]
            found.append(
                Call(
                    tool_call_id=one.tool_call_id,
                    sure=False,
                    alerts=0,
                    tool=one.tool,
                    step=one.step,
                    rollout_id=who.rollout_id,
                    trajectory_id=one.trajectory_id,
                    trace_id=trace,
                    span_id=span,
                    started=one.started,
                )
            )
    for call in found:
        known = _merged(known, call, lambda one: (one.tool_call_id, one.sure), most)
    return known


def trace_ids(traceparent: str) -> tuple[str, str]:
    """Return the trace id and span id of a W3C trace context (Trace Context section 3.2)."""
    parts = traceparent.split("-")
    if len(parts) < 4 or len(parts[1]) != 32 or len(parts[2]) != 16:
        return "", ""
    return parts[1], parts[2]


def _surer(known: LineageInfo | None, fresh: LineageInfo | None) -> LineageInfo | None:
    """Return the better of two attributions; the earlier of two that are as good."""
    if known is None or fresh is None:
        return known or fresh
    better = _rank(fresh) < _rank(known)
    return fresh if better else known


def _rank(who: LineageInfo) -> tuple[int, bool]:
    grade = _GRADES.index(who.grade) if who.grade in _GRADES else len(_GRADES)
    return grade, not who.tool_call_id


def _with_recurrence(
    incident: Incident, known: Sequence[tuple[Trait, Sequence[Earlier]]], bounds: Bounds
) -> Incident:
    found = {(one.kind, one.value): one for one in incident.recurrence}
    for trait, earlier in known:
        again = recurrence(incident, trait, earlier)
        if again is not None and (
            len(found) < bounds.members or (again.kind, again.value) in found
        ):
            found[again.kind, again.value] = again
    return replace(incident, recurrence=tuple(found.values()))


def _told(incident: Incident, alert: AlertEvent, bounds: Bounds) -> tuple[Moment, ...]:
    """Return the timeline with an alert on it; where it is full only the last line moves on."""
    moment = Moment(
        at=alert.timestamp,
        what=alert.alert.signature,
        action=alert.verdict.action.value,
        to=endpoint(alert.dest_ip, alert.dest_port),
        delivered=_reached(alert),
        tool_call_id=alert.lineage.tool_call_id if alert.lineage else "",
        flow_id=alert.flow_id,
    )
    again = incident.status is Status.RESOLVED
    fresh = (Moment(at=alert.timestamp, what="open again: it went on"),) if again else ()
    return (*(*incident.timeline, *fresh)[: bounds.timeline - 1], moment)


def _merged[T: Call | Destination | Matched | Payee](
    known: tuple[T, ...], fresh: T, key: Callable[[T], object], most: int
) -> tuple[T, ...]:
    """Count an alert for the member like ``fresh``, which is added if there is room."""
    wanted = key(fresh)
    for index, one in enumerate(known):
        if key(one) == wanted:
            counted = replace(fresh, alerts=one.alerts + 1)
            return (*known[:index], counted, *known[index + 1 :])
    return (*known, replace(fresh, alerts=1)) if len(known) < most else known


def _joined[T: str | int](known: tuple[T, ...], fresh: T, most: int) -> tuple[T, ...]:
    if not fresh or fresh in known or len(known) >= most:
        return known
    return (*known, fresh)


def _reached(alert: AlertEvent) -> bool:
    """Tell whether what was alerted on got where it went; a resolver is no pool."""
    return alert.verdict.delivered and alert.app_proto != AppProto.DNS


def _counted(known: dict[str, int], name: str) -> dict[str, int]:
    return {**known, name: known.get(name, 0) + 1}


def _seconds(before: str, after: str) -> float:
    return (datetime.fromisoformat(after) - datetime.fromisoformat(before)).total_seconds()
