"""An incident as a person reads it in the middle of the night, and a list of them."""

from collections.abc import Iterable, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from davylamp.events import AlertEvent
from davylamp.incidents.folding import trace_ids
from davylamp.incidents.model import Call, Incident, Level, Moment, Status
from davylamp.wording import clock, counted, endpoint, inert

_STYLES = {
    Level.CRITICAL: "bold white on red",
    Level.HIGH: "bold red",
    Level.MEDIUM: "yellow",
    Level.LOW: "cyan",
    Level.INFO: "dim",
}
_SURENESS = {
    "bound": "sure: the trainer bound the address before the container started",
    "token": "sure: the sandbox proved who it is",
    "observed": "sure: the container runtime said so",
    "declared": "only labels or a person say so",
    "stale": "NOT SURE: the best guess, which may be out of date",
    "unknown": "NOT KNOWN: nobody is on record for the address",
}
_LAST_MOMENTS = 12
_EVIDENCE_SHOWN = 5
_TABLE_WIDTH = 110
"""Columns of a terminal below which a table would break ids and addresses into pieces."""
_UNDONE_SHOWN = 3


class Listing:
    """Incidents in the order given: a table, or two lines each where there is no room for one."""

    def __init__(self, incidents: Iterable[Incident]) -> None:
        self._incidents = tuple(incidents)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield what fits."""
        if options.max_width >= _TABLE_WIDTH:
            yield _table(self._incidents)
            return
        for one in self._incidents:
            yield _brief(one)


def _brief(one: Incident) -> Text:
    run = f", run {one.who.run_id}" if one.who and one.who.run_id else ""
    return Text.assemble(
        (one.id, "bold"),
        " ",
        _level(one.severity),
        " ",
        _state(one),
        f"  {_clock(one.last_seen)}, {counted(one.alerts, 'alert')}\n  ",
        _inert(f"{_name(one)}{run}: {one.title} to {_where(one)}"),
    )


def _name(one: Incident) -> str:
    known = one.who.container or one.who.lifecycle_id if one.who else ""
    return known or " ".join(one.sources)


def _where(one: Incident) -> str:
    if not one.destinations:
        return ""
    first = one.destinations[0]
    more = f" and {len(one.destinations) - 1} more" if len(one.destinations) > 1 else ""
    return f"{endpoint(first.name or first.ip, first.port)}{more}"


def _table(incidents: Sequence[Incident]) -> Table:
    table = Table(title="incidents", title_justify="left")
    table.add_column("incident", no_wrap=True)
    for heading in ("last", "severity", "who", "run", "what", "to", "alerts", "state"):
        table.add_column(heading, overflow="fold")
    for one in incidents:
        table.add_row(
            Text(one.id),
            _clock(one.last_seen),
            _level(one.severity),
            _inert(_name(one)),
            _inert(one.who.run_id if one.who else ""),
            _inert(one.title),
            _inert(_where(one)),
            Text(str(one.alerts)),
            _state(one),
        )
    return table


def view(incident: Incident, alerts: Sequence[AlertEvent]) -> RenderableType:
    """Return one incident: who, what, how sure, what was done, and where to look on."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _facts(incident):
        facts.add_row(name, value)
    title = Text.assemble(
        (incident.id, "bold"), " ", _level(incident.severity), " ", _state(incident)
    )
    parts: list[RenderableType] = [Panel(facts, title=title, title_align="left", expand=False)]
    if incident.calls:
        parts.append(_calls(incident.calls))
    parts.append(_timeline(incident))
    evidence = _evidence(alerts)
    if evidence.row_count:
        parts.append(evidence)
    parts.append(_next(incident))
    return Group(*parts)


def _next(incident: Incident) -> RenderableType:
    """Return what to do now, as commands; what was not done need not be undone."""
    rows = [("to hand it on", f"davylamp incidents export {incident.id}")]
    if incident.status is Status.OPEN:
        rows.append(("to put it to rest", f'davylamp incidents resolve {incident.id} --note "..."'))
    rows.append(("if it was honest work:", ""))
    if any(incident.actions.get(action) for action in ("reject", "drop")):
        rows += [
            ("  let it connect", f"davylamp blocks release {endpoint(one.ip, one.port)}")
            for one in incident.destinations[:_UNDONE_SHOWN]
        ]
    if any(one.by and one.to for one in incident.timeline):  # a resolution is to nobody
        rows.append(("  undo what was done", f"davylamp actions release {incident.id}"))
    rows += [
        ("  never find it again", f"davylamp pack disable {one.signature_id}")
        for one in incident.signatures[:_UNDONE_SHOWN]
    ]
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for purpose, command in rows:
        table.add_row(purpose, _inert(command))
    where = "what next (with the --config or --url of this command)"
    return Group(Text(where, style="italic"), table)


def _facts(incident: Incident) -> list[tuple[str, Text]]:
    who = incident.who
    found: list[tuple[str, Text]] = [("what", _inert(incident.title))]
    if who is not None and who.container:
        found.append(("who", _inert(f"{who.container}  {who.image}".rstrip())))
    found.append(("address", _inert(", ".join(incident.sources))))
    grade = who.grade if who else "unknown"
    found.append(("how sure", _inert(_SURENESS.get(grade, grade))))
    if who is not None and who.reason:
        found.append(("", _inert(who.reason)))
    if who is not None:
        trace, span = trace_ids(who.traceparent)
        step = "" if who.step is None else str(who.step)
        for name, value in (
            ("experiment", who.experiment_id),
            ("run", who.run_id),
            ("rollout", who.rollout_id),
            ("trajectory", who.trajectory_id),
            ("step", step),
            ("tool call", f"{who.tool_call_id}  {who.tool}".strip()),
            ("trace id", trace),
            ("span id", span),
            ("lifecycle", who.lifecycle_id),
        ):
            if value:
                found.append((name, _inert(value)))
    if who is not None and not who.tool_call_id:
        one_of = f"one of the {len(incident.calls)} below" if incident.calls else "none on record"
        found.append(("tool call", _inert(f"NOT SURE: {one_of}")))
    found += [
        (
            "to",
            _inert(f"{endpoint(to.ip, to.port)}  {to.name}  ({counted(to.alerts, 'alert')})"),
        )
        for to in incident.destinations[:8]
    ]
    found += [
        ("wallet", _inert(f"{wallet.shown}  {wallet.coin}".rstrip())) for wallet in incident.wallets
    ]
    found += [("again", Text(line, style="bold")) for line in _again(incident)]
    found.append(("done", _inert(_done(incident))))
    found.append(("pool got", _received(incident)))
    found.append(("why " + incident.severity, _inert("; ".join(incident.why))))
    if incident.resolution is not None and incident.status is Status.RESOLVED:
        said = incident.resolution
        found.append(("resolved", _inert(f"{said.timestamp} by {said.by}: {said.note}")))
    return found


def _again(incident: Incident) -> list[str]:
    lines: list[str] = []
    for one in incident.recurrence:
        times = {2: "second", 3: "third"}.get(one.times, f"{one.times}th")
        what = "wallet" if one.kind == "wallet" else f"destination {one.value}"
        runs = f"; runs {', '.join(one.runs)}" if one.runs else ""
        earlier = ", ".join(one.incidents)
        lines.append(inert(f"{times} time this experiment, same {what} ({earlier}{runs})"))
    return lines


def _done(incident: Incident) -> str:
    actions = ", ".join(f"{count} {name}" for name, count in sorted(incident.actions.items()))
    alerts, flows = counted(incident.alerts, "alert"), counted(incident.flows, "flow")
    kept = "" if incident.alerts == incident.kept else f", the first {incident.kept} kept in full"
    return f"{actions} ({alerts} on {flows}{kept})"


def _received(incident: Incident) -> Text:
    if not incident.delivered:
        return Text("nothing: each packet that completed the evidence was dropped", style="green")
    return Text(
        f"{incident.delivered} of {incident.alerts} messages that were alerted on went through",
        style="bold red",
    )


def _calls(calls: Sequence[Call]) -> Table:
    sure = all(one.sure for one in calls)
    table = Table(
        title="tool calls" if sure else "tool calls: candidates, not sure", title_justify="left"
    )
    for heading in ("tool call", "tool", "step", "trajectory", "trace id", "span id", "is it"):
        table.add_column(heading, overflow="fold")
    for one in calls:
        table.add_row(
            _inert(one.tool_call_id),
            _inert(one.tool),
            "" if one.step is None else str(one.step),
            _inert(one.trajectory_id),
            _inert(one.trace_id),
            _inert(one.span_id),
            Text("yes", style="green") if one.sure else Text("maybe", style="yellow"),
        )
    return table


def _timeline(incident: Incident) -> Table:
    table = Table(title="timeline", title_justify="left")
    for heading in ("time", "what", "to", "done", "tool call"):
        table.add_column(heading, overflow="fold")
    for one in incident.timeline[-_LAST_MOMENTS:]:
        table.add_row(
            _clock(one.at),
            _inert(one.what),
            _inert(one.to),
            _outcome(one),
            _inert(one.tool_call_id),
        )
    return table


def _outcome(moment: Moment) -> Text:
    if moment.by:
        return _inert(f"by {moment.by}")
    gone = " (went through)" if moment.delivered else ""
    return Text(f"{moment.action}{gone}", style="red" if moment.delivered else "")


def _evidence(alerts: Sequence[AlertEvent]) -> Table:
    table = Table(title="evidence (secrets masked)", title_justify="left")
    for heading in ("signature", "sure", "from", "bytes"):
        table.add_column(heading, overflow="fold")
    shown: set[str] = set()
    for alert in alerts:
        for one in alert.evidence[:1]:
            if one.signature_id in shown or len(shown) >= _EVIDENCE_SHOWN:
                continue
            shown.add(one.signature_id)
            table.add_row(
                _inert(one.signature_id),
                f"{alert.alert.confidence} %",
                _inert(one.direction),
                _inert(one.excerpt),
            )
    return table


def _level(level: Level) -> Text:
    return Text(level.value.upper(), style=_STYLES[level])


def _state(incident: Incident) -> Text:
    if incident.status is Status.RESOLVED:
        return Text("resolved", style="green")
    return Text("open, again" if incident.reopened else "open", style="yellow")


def _clock(timestamp: str) -> Text:
    return _inert(clock(timestamp))


def _inert(value: str) -> Text:
    return Text(inert(value))
