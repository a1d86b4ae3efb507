"""A look at a gateway as lines for a terminal of any size.

Names in flows come from sandboxes and pools: nothing of them is taken for markup, and what would
move a cursor is replaced.
"""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from davylamp.api.model import FlowRecord
from davylamp.top.asking import Look
from davylamp.wording import counted, inert

_BAD = {"reject": "bold red", "drop": "bold red", "alert": "yellow", "pass": "dim"}
_BLOCKS = "▁▂▃▄▅▆▇█"
_HEAD_LINES = 5


def picture(look: Look, height: int) -> RenderableType:
    """Return what is shown on a terminal of so many lines."""
    parts: list[RenderableType] = [
        _summary(look),
        *_problems(look),
        _verdicts(look),
        _workers(look),
    ]
    used = _HEAD_LINES + len(look.health.problems) + len(look.health.workers) + 2
    rows = max(1, height - used)
    return Group(*parts, _flows(look.flows.flows[:rows], look.flows.kept))


def _summary(look: Look) -> Text:
    health = look.health
    rules = health.rules
    line = Text()
    line.append(f"davylamp {inert(health.version)}", "bold")
    line.append(f"  {rules.mode}", "bold green" if rules.mode == "enforce" else "bold yellow")
    line.append(f"  {rules.exception_policy}  up {_span(health.uptime_seconds)}")
    line.append(f"  rules {_span(rules.age_seconds)}" if rules.age_seconds else "  no rules")
    line.append(f"  pack {inert(health.pack.name)} {inert(health.pack.version)}")
    line.append(f" ({counted(health.pack.signatures, 'signature')})\n")
    line.append(f"lineage {health.lineage.addresses} addresses, ")
    fresh = health.lineage.confirmed_seconds
    line.append("never confirmed" if fresh is None else f"confirmed {_span(fresh)} ago")
    line.append("\n")
    line.append(f"inspected {_rate(look)}  {_sparks(look)}")
    return line


def _problems(look: Look) -> Iterator[Text]:
    for one in look.health.problems:
        yield Text(f"! {inert(one)}", "bold red")


def _verdicts(look: Look) -> Text:
    line = Text(f"flows {look.stats.flows}, cleared {look.stats.cleared}", no_wrap=True)
    for one in look.stats.verdicts:
        line.append(f"  {one.category} {one.action} ")
        line.append(str(one.alerts), _BAD.get(one.action, ""))
    return line


def _workers(look: Look) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("worker")
    for name in ("packets", "flows", "cleared", "alerts", "queued", "limit", "no room", "restarts"):
        table.add_column(name, justify="right")
    said = {one.worker: one for one in look.stats.workers}
    for worker in look.health.workers:
        style = "" if worker.alive and worker.ready else "bold red"
        stats = said.get(worker.name)
        queue = look.queues.get(worker.name.removeprefix("queue-"))
        counts = (
            ("", "", "", "")
            if stats is None
            else (stats.packets, stats.flows, stats.counters.get("cleared", 0), stats.alerts)
        )
        waits = ("", "", "") if queue is None else (queue.waiting, queue.limit, queue.dropped)
        cells = (worker.name, *counts, *waits, worker.restarts)
        table.add_row(*(Text(inert(str(cell))) for cell in cells), style=style)
    return table


def _flows(flows: tuple[FlowRecord, ...], kept: int) -> RenderableType:
    if not flows:
        return Text("no flow was found to be anything but honest work" if not kept else "", "dim")
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    for name, ratio in (("at", 0), ("verdict", 0), ("from", 2), ("who", 2), ("to", 3), ("what", 4)):
        table.add_column(name, ratio=ratio or None, no_wrap=True, overflow="ellipsis")
    for one in flows:
        who = one.lineage
        names = "" if who is None else " ".join(filter(None, (who.container, who.run_id, who.tool)))
        to = f"{one.name or one.dest_ip}:{one.dest_port}"
        cells = (one.at[11:19], one.action, one.src_ip, names, to, one.what)
        table.add_row(
            *(
                Text(inert(cell), _BAD.get(one.action, "") if n == 1 else "")
                for n, cell in enumerate(cells)
            )
        )
    return table


def _rate(look: Look) -> str:
    if not look.stats.series:
        return "nothing yet"
    last = look.stats.series[-1]
    packets, megabits = f"{last.packets:,.0f} packets/s", f"{last.bytes * 8 / 1e6:,.2f} Mbit/s"
    return f"{packets}, {megabits}, {last.flows:,.0f} new flows/s"


def _sparks(look: Look) -> str:
    """Return the packets inspected over time as a line of blocks, newest to the right."""
    values = [one.packets for one in look.stats.series[-30:]]
    most = max(values, default=0)
    if most <= 0:
        return ""
    return "".join(_BLOCKS[min(int(one / most * 7.99), 7)] for one in values)


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
