"""Lineage as a person reads it (rich tables) and as a program does (plain JSON types)."""

from typing import Any

import msgspec
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from davylamp.attribution.model import Binding, ToolCall
from davylamp.attribution.operations import Dossier
from davylamp.events import AlertEvent, rfc3339
from davylamp.wording import clock, endpoint

_RECENT_CALLS = 10
_FIELDS = (
    ("image", "image"),
    ("run", "run_id"),
    ("experiment", "experiment_id"),
    ("rollout", "rollout_id"),
    ("trajectory", "trajectory_id"),
    ("step", "step"),
    ("traceparent", "traceparent"),
    ("grade", "grade"),
    ("source", "source"),
    ("lifecycle", "lifecycle_id"),
)


def as_json(dossier: Dossier) -> dict[str, Any]:
    """Return a dossier as plain JSON types: what ``lineage show --json`` prints."""
    newest = dossier.bindings[-1]
    return {
        "subject": dossier.subject,
        "kind": dossier.kind,
        "container": newest.container,
        "lifecycle_id": newest.lifecycle_id,
        "record": dossier.record,
        "current": [msgspec.to_builtins(b) for b in dossier.bindings if b.valid_to is None],
        "past": [msgspec.to_builtins(b) for b in dossier.bindings if b.valid_to is not None],
        "running": [msgspec.to_builtins(call) for call in dossier.calls if call.ended is None],
        "ended": [msgspec.to_builtins(call) for call in dossier.calls if call.ended is not None],
        "incidents": [msgspec.to_builtins(alert) for alert in dossier.incidents],
    }


def dossier_view(dossier: Dossier) -> RenderableType:
    """Return a dossier for a terminal: the newest binding first, then all the rest."""
    newest = dossier.bindings[-1]
    facts = Table.grid(padding=(0, 2))
    for title, name in _FIELDS:
        value = getattr(newest, name)
        if value not in {"", None}:
            facts.add_row(Text(title, style="dim"), Text(str(value)))
    name_shown = Text(newest.container or newest.lifecycle_id, style="bold")
    parts: list[RenderableType] = [Panel(facts, title=name_shown, title_align="left", expand=False)]
    parts.append(bindings_table(dossier.bindings))
    if dossier.calls:
        parts.append(_calls_table(dossier.calls))
    parts.append(_incidents_table(dossier.incidents) if dossier.incidents else Text("no incidents"))
    return Group(*parts)


def bindings_table(bindings: tuple[Binding, ...]) -> Table:
    """Return bindings as a table, in the order given."""
    table = Table(title="bindings", title_justify="left")
    for heading in ("address", "container", "from", "to", "run", "rollout", "grade"):
        table.add_column(heading, overflow="fold")
    for each in bindings:
        until = Text("now", style="green") if each.valid_to is None else _moment(each.valid_to)
        table.add_row(
            Text(each.ip),
            Text(each.container or each.lifecycle_id),
            _moment(each.valid_from),
            until,
            Text(each.run_id),
            Text(each.rollout_id),
            Text(each.grade),
        )
    return table


def _calls_table(calls: tuple[ToolCall, ...]) -> Table:
    running = [call for call in calls if call.ended is None]
    recent = [call for call in calls if call.ended is not None][-_RECENT_CALLS:]
    table = Table(title="tool calls", title_justify="left")
    for heading in ("tool call", "tool", "step", "started", "ended"):
        table.add_column(heading, overflow="fold")
    for call in (*recent, *running):
        ended = Text("running", style="yellow") if call.ended is None else _moment(call.ended)
        step = "" if call.step is None else str(call.step)
        table.add_row(Text(call.tool_call_id), Text(call.tool), step, _moment(call.started), ended)
    return table


def _incidents_table(incidents: tuple[AlertEvent, ...]) -> Table:
    table = Table(title="incidents", title_justify="left")
    for heading in ("time", "incident", "what", "to", "action", "tool call", "who is"):
        table.add_column(heading, overflow="fold")
    for each in incidents:
        who = each.lineage
        table.add_row(
            Text(clock(each.timestamp)),
            Text(each.incident_id),
            Text(each.alert.signature, style="red"),
            Text(endpoint(each.dest_ip, each.dest_port)),
            Text(each.verdict.action),
            Text(who.tool_call_id if who else ""),
            Text(who.grade if who else ""),
        )
    return table


def _moment(at: float) -> Text:
    return Text(clock(rfc3339(at)))


def print_view(view: RenderableType) -> None:
    """Print to standard output; in full width where that is no terminal, so nothing is cut."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    console.print(view)
