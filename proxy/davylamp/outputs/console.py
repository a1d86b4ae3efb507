"""Events as one line each, for a person at a terminal.

Names and excerpts come from sandboxes and pools: characters that a terminal would act on (escape
sequences, bidirectional overrides, newlines) are shown as U+FFFD.
"""

import asyncio
import threading
from typing import assert_never

from rich.console import Console as RichConsole
from rich.text import Text

from davylamp.events import (
    Action,
    ActionEvent,
    AlertEvent,
    AnyEvent,
    LineageEvent,
    LineageInfo,
    PackEvent,
    StatsEvent,
    TlsEvent,
)
from davylamp.wording import endpoint, inert

_STYLES = {
    Action.PASS: "green",
    Action.ALERT: "bold yellow",
    Action.DROP: "bold red",
    Action.REJECT: "bold red",
}


class ConsoleSink:
    """A sink that prints; colour only where ``console`` is a terminal, as rich decides."""

    def __init__(self, console: RichConsole) -> None:
        self._console = console
        self._lock = threading.Lock()

    async def write(self, event: AnyEvent) -> None:
        """Print the event in a thread, so that a terminal on hold holds up nothing else."""
        await asyncio.to_thread(self._print, one_line(event))

    async def close(self) -> None:
        """Leave the terminal to its owner."""

    def _print(self, line: Text) -> None:
        with self._lock:
            self._console.print(line, soft_wrap=True, highlight=False)


def one_line(event: AnyEvent) -> Text:
    """Return the event as one line of text, with styles."""
    line = Text(no_wrap=True)
    line.append(f"{inert(event.timestamp[11:19])}Z ", style="dim")
    match event:
        case AlertEvent():
            _alert(line, event)
        case LineageEvent():
            line.append("lineage ", style="cyan")
            line.append(f"{inert(event.change)} ")
            line.append(f"{inert(event.ip)} " if event.ip else "")
            line.append(describe(event.lineage))
        case TlsEvent():
            line.append("refused" if event.refusal else "diverted", style="cyan")
            source = _shown(event.src_ip, event.src_port)
            line.append(f" {source} > {_shown(event.dest_ip, event.dest_port)} ")
            refused = f"would not have our certificate: {event.refusal}"
            line.append(inert(refused if event.refusal else event.diversion))
        case PackEvent():
            bad = event.change in ("refused", "returned", "expired")
            line.append("pack    ", style="bold red" if bad else "cyan")
            line.append(inert(f"{event.pack} {event.version} {event.change} {event.reason}"))
        case ActionEvent():
            action = event.action
            line.append("action  ", style="magenta")
            line.append(inert(f"{action.kind} {action.status}: {action.outcome} "))
            line.append(describe(event.lineage) if event.lineage else inert(action.target))
        case StatsEvent():
            line.append("stats   ", style="dim")
            line.append(
                f"{event.packets} packets, {event.bytes} bytes, {event.flows} flows, "
                f"{event.alerts} alerts in {event.seconds:.1f} s",
                style="dim",
            )
        case _ as never:
            assert_never(never)
    return line


def describe(lineage: LineageInfo) -> str:
    """Return who in words: ``sandbox-2 run r1 rollout 7 tool call tc-9 (bash) [bound]``."""
    parts = [lineage.container or "unknown container"]
    for label, value in (
        ("run", lineage.run_id),
        ("rollout", lineage.rollout_id),
        ("step", "" if lineage.step is None else str(lineage.step)),
        ("tool call", lineage.tool_call_id),
    ):
        if value:
            parts.append(f"{label} {value}")
    if lineage.tool:
        parts.append(f"({lineage.tool})")
    if lineage.candidates:
        parts.append(f"one of {len(lineage.candidates)} tool calls")
    parts.append(f"[{lineage.grade}]")
    return inert(" ".join(parts))


def _alert(line: Text, event: AlertEvent) -> None:
    action = event.verdict.action
    line.append(f"{action.value:<8}", style=_STYLES[action])
    source, target = (
        _shown(event.src_ip, event.src_port),
        _shown(event.dest_ip, event.dest_port),
    )
    line.append(f"{source} > {target} ")
    line.append(inert(event.alert.signature), style="bold")
    if event.mining is not None:
        coin = f" {event.mining.coin}" if event.mining.coin else ""
        line.append(inert(f" ({event.mining.dialect}{coin})"))
    if event.lineage is not None:
        line.append(f"  {describe(event.lineage)}", style="cyan")
    line.append(f"  {inert(event.alert.signature_id)}", style="dim")


def _shown(address: str, port: int) -> str:
    return endpoint(inert(address), port)
