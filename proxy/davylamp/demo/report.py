"""The demonstration told to a person: timeline, who, evidence, what got through, what it cost."""

from statistics import median

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from davylamp.demo.results import Actor, Results
from davylamp.events import AlertEvent

_EXCERPT = 160  # characters of evidence that are shown
_STYLES = {Actor.DAVYLAMP: "bold red", Actor.SANDBOX: "yellow", Actor.TRAINER: "cyan"}


def as_object(results: Results) -> dict[str, object]:
    """Return everything for JSON: whether each claim holds, the ratio, and what was seen."""
    return {
        "success": results.success,
        "blocked": results.blocked,
        "attributed": results.attributed,
        "undisturbed": results.undisturbed,
        "ratio": None if results.throughput is None else results.throughput.ratio,
        **msgspec.to_builtins(results),
    }


def show(results: Results, console: Console) -> None:
    """Print everything, and the verdict last."""
    _timeline(results, console)
    if results.alerts:
        _who(results.alerts[0], console)
        _evidence(results.alerts, console)
    _attempts(results, console)
    _benign(results, console)
    _cost(results, console)
    _verdict(results, console)


def _heading(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold"))


def _timeline(results: Results, console: Console) -> None:
    _heading(console, "What happened")
    if not results.timeline:
        return
    begin = results.timeline[0].at
    for moment in results.timeline:
        style = _STYLES.get(moment.actor, "")
        console.print(
            Text.assemble(
                (f"  {moment.at - begin:7.3f} s  ", "dim"),
                (f"{moment.actor.value:<9}", style),
                moment.text,
            ),
            soft_wrap=True,
        )


def _who(alert: AlertEvent, console: Console) -> None:
    _heading(console, "Who did it")
    lineage = alert.lineage
    if lineage is None:
        console.print("  nobody known")
        return
    grid = Table.grid(padding=(0, 2))
    step = "" if lineage.step is None else str(lineage.step)
    for name, value in (
        ("container", lineage.container),
        ("image", lineage.image),
        ("experiment", lineage.experiment_id),
        ("run", lineage.run_id),
        ("rollout", lineage.rollout_id),
        ("trajectory", lineage.trajectory_id),
        ("step", step),
        ("tool call", f"{lineage.tool_call_id} ({lineage.tool})"),
        ("trace", lineage.traceparent),
        ("how sure", f"{lineage.grade}, from {lineage.source}"),
        ("incident", alert.incident_id),
    ):
        grid.add_row(f"  {name}", Text(value))
    console.print(grid)


def _evidence(alerts: list[AlertEvent], console: Console) -> None:
    _heading(console, "Evidence")
    for alert in alerts:
        for piece in alert.evidence:
            console.print(
                Text.assemble(
                    (f"  {piece.signature_id} ", "bold"),
                    f"rev {alert.alert.rev}, confidence {alert.alert.confidence}: {piece.detail}\n",
                    (f"    {piece.direction} byte {piece.offset}+{piece.length}: ", "dim"),
                    _shortened(piece.excerpt),
                ),
                soft_wrap=True,
            )


def _shortened(excerpt: str) -> str:
    return excerpt if len(excerpt) <= _EXCERPT else f"{excerpt[: _EXCERPT - 1]}…"


def _attempts(results: Results, console: Console) -> None:
    _heading(console, "What the miner got")
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    for column in ("  attempt", "outcome", "when", "shares"):
        table.add_column(column)
    for one in results.attempts:
        table.add_row(f"  {one.name}", one.outcome, one.when, str(one.shares))
    console.print(table)
    console.print(
        f"  The pool saw {results.pool_connections} connections, {results.pool_bytes} bytes, "
        f"{results.pool_requests} complete requests, {results.pool_shares} shares."
    )


def _benign(results: Results, console: Console) -> None:
    _heading(console, "Honest work at the same time")
    for one in results.benign:
        word, style = ("ok", "green") if one.good else ("BROKEN", "bold red")
        if one.skipped:
            word, style = "skipped", "dim"
        console.print(
            Text.assemble("  ", (f"{word:<8}", style), f"{one.name}: {one.detail}"), soft_wrap=True
        )


def _cost(results: Results, console: Console) -> None:
    if results.throughput is None:
        return
    cost = results.throughput
    times = len(cost.without)
    _heading(console, f"Throughput of one download of {cost.size / 1e6:.0f} MB")
    console.print(
        f"  {_rates(cost.without)} without the gateway\n  {_rates(cost.through)} with it: "
        f"{cost.ratio:.0%}, the middle of {times} each",
        "  `davylamp bench` measures it with real tools, in turns.",
        sep="\n",
        highlight=False,
        soft_wrap=True,
    )


def _rates(rates: tuple[float, ...]) -> str:
    low, middle, high = (rate / 1e9 for rate in (min(rates), median(rates), max(rates)))
    return f"{middle:.2f} Gbit/s ({low:.2f} to {high:.2f})"


def _verdict(results: Results, console: Console) -> None:
    console.print()
    for good, text in (
        (results.blocked, "every mining connection was cut; the pool got no complete request"),
        (results.attributed, "every alert names the container and the tool call"),
        (results.tagged, "the container's record in Redis carries the incident"),
        (results.undisturbed, "honest work was not disturbed"),
    ):
        word, style = ("yes", "bold green") if good else ("NO ", "bold red")
        console.print(Text.assemble("  ", (word, style), f"  {text}"))
