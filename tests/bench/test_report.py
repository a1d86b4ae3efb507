"""The report as people and programs read it."""

import io
import json

import msgspec
from rich.console import Console

from davylamp.bench.measure import Comparison, Effort, Metric, Plan, Report, Way
from davylamp.bench.report import as_json, show

REPORT = Report(
    Plan(seconds=2, rounds=2, workers=1),
    "2 CPUs",
    ("bulk by iperf3",),
    (
        Comparison(Metric.UPLOAD, (2e10, 1e10), (1.9e10, 0.95e10)),
        Comparison(Metric.CONNECTIONS, (10_000.0, 12_000.0), (5_000.0, 6_000.0)),
        Comparison(Metric.LATENCY_P50, (1e-4, 1e-4), (2e-4, 2e-4)),
    ),
    Effort(units=2_000_000_000, queued=4),
    Effort(units=1000, queued=1005),
    {Way.PLAIN: 0, Way.GATEWAY: 3},
)


def test_json_has_both_figures_and_the_ratio() -> None:
    """A program finds every round, the medians, the ratio with its spread, and the verdict."""
    tree = json.loads(msgspec.json.encode(as_json(REPORT)))
    upload, connections, latency = tree["comparisons"]
    assert upload["metric"] == "upload"
    assert (upload["plain"], upload["gateway"]) == ([2e10, 1e10], [1.9e10, 0.95e10])
    assert (upload["plain_median"], upload["gateway_median"]) == (1.5e10, 1.425e10)
    assert (upload["ratio"], upload["target"], upload["met"]) == (0.95, 0.9, True)
    assert (connections["ratio_lowest"], connections["ratio_highest"]) == (0.5, 0.5)
    assert connections["met"] is False
    assert (latency["target"], latency["met"]) == (None, None)
    assert tree["bulk"]["queued_per_gigabyte"] == 2.0
    assert tree["connections"]["queued_per_request"] == 1.005
    assert tree["connections"]["failed"] == {"plain": 0, "gateway": 3}
    assert tree["targets_met"] is False


def test_the_table_says_what_is_met() -> None:
    """A person sees both figures in their units, the ratio, and the target with its verdict."""
    text = io.StringIO()
    show(REPORT, Console(file=text, width=80))
    lines = text.getvalue().splitlines()
    upload = next(line for line in lines if line.startswith("bulk upload"))
    assert "15.00 Gbit/s" in upload
    assert "14.25 Gbit/s" in upload
    assert "0.90 met" in upload
    connections = next(line for line in lines if line.startswith("new connections"))
    assert "11,000 /s" in connections
    assert "0.70 missed" in connections
    assert "3 by the gateway" in text.getvalue()
