"""The report told: a table for people, one JSON object for programs."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from davylamp.bench.measure import TARGETS, Comparison, Metric, Report, Way

_GIGABYTE = 1e9
_TITLES = {
    Metric.UPLOAD: "bulk upload",
    Metric.DOWNLOAD: "bulk download",
    Metric.CONNECTIONS: "new connections",
    Metric.LATENCY_P50: "first answer, p50",
    Metric.LATENCY_P99: "first answer, p99",
}


def as_json(report: Report) -> dict[str, object]:
    """Return the report as a JSON object: bulk in bits a second, latency in seconds."""
    return {
        "machine": report.machine,
        "tools": list(report.tools),
        "seconds": report.plan.seconds,
        "rounds": report.plan.rounds,
        "workers": report.plan.workers,
        "comparisons": [_comparison(one) for one in report.comparisons],
        "bulk": {
            "bytes": report.bulk.units,
            "queued": report.bulk.queued,
            "triggered": report.bulk.triggered,
            "sampled": report.bulk.sampled,
            "queued_per_gigabyte": report.bulk.queued_per(_GIGABYTE),
        },
        "connections": {
            "requests": report.connections.units,
            "queued": report.connections.queued,
            "queued_per_request": report.connections.queued_per(),
            "failed": {way.value: count for way, count in report.failed.items()},
        },
        "targets_met": report.met,
    }


def show(report: Report, console: Console) -> None:
    """Print the figures both ways, their ratio, its spread, and whether the targets are met."""
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    table.add_column("")
    for heading in ("plain", "gateway", "ratio", "spread", "target"):
        table.add_column(heading, justify="right")
    for one in report.comparisons:
        table.add_row(
            _TITLES[one.metric],
            _figure(one.metric, one.plain_median),
            _figure(one.metric, one.gateway_median),
            Text(f"{one.ratio:.2f}", style="bold"),
            f"{min(one.ratios):.2f} - {max(one.ratios):.2f}",
            _target(one),
        )
    console.print(table)
    console.print()
    for line in _notes(report):
        console.print(line)


def _notes(report: Report) -> tuple[str, ...]:
    plan, failed = report.plan, report.failed
    queued = report.connections.queued_per()
    of_bulk = report.bulk.queued_per(_GIGABYTE)
    tools = "; ".join(report.tools)
    return (
        f"Packets in user space: {queued:.2f} a connection, {of_bulk:.0f} a gigabyte of bulk.",
        f"Requests that failed: {failed[Way.PLAIN]} plain, {failed[Way.GATEWAY]} by the gateway.",
        f"{report.machine}; {tools}; {plan.rounds} rounds of {plan.seconds} s, in turns.",
        "The ratio is the middle one of the rounds' own ratios.",
    )


def _comparison(one: Comparison) -> dict[str, object]:
    return {
        "metric": one.metric.value,
        "plain": list(one.plain),
        "gateway": list(one.gateway),
        "plain_median": one.plain_median,
        "gateway_median": one.gateway_median,
        "ratio": one.ratio,
        "ratio_lowest": min(one.ratios),
        "ratio_highest": max(one.ratios),
        "target": TARGETS.get(one.metric),
        "met": one.met,
    }


def _figure(metric: Metric, value: float) -> str:
    match metric:
        case Metric.UPLOAD | Metric.DOWNLOAD:
            return f"{value / 1e9:.2f} Gbit/s"
        case Metric.CONNECTIONS:
            return f"{value:,.0f} /s"
        case Metric.LATENCY_P50 | Metric.LATENCY_P99:
            return f"{value * 1e3:.3f} ms"


def _target(one: Comparison) -> Text:
    if one.met is None:
        return Text("-", style="dim")
    words, style = ("met", "green") if one.met else ("missed", "bold red")
    return Text.assemble(f"{TARGETS[one.metric]:.2f} ", (words, style))
