"""Dashboard, alerts and their guide speak of metrics that the gateway exposes."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from tests.metrics.samples import full_book

ROOT = Path(__file__).resolve().parents[2]
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yaml"
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "davylamp.json").read_text())
NAME = re.compile(r"\bdavylamp_[a-z0-9_]+\b")
SELECTOR = re.compile(r"(davylamp_[a-z0-9_]+)\{([^}]*)\}")
LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")


def exposed() -> dict[str, set[str]]:
    """Return each sample's name that the gateway exposes, with its labels."""
    found: dict[str, set[str]] = {}
    text = full_book().exposition().decode()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """Yield every expression of dashboard and alerts, and whose it is."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if isinstance(variable["query"], dict):
            yield variable["name"], variable["query"]["query"]
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


@pytest.mark.parametrize(("title", "expression"), list(expressions()))
def test_only_exposed_metrics_are_asked_for(title: str, expression: str) -> None:
    """Each metric that is named exists, with the labels that are selected by."""
    known = exposed()
    names = set(NAME.findall(expression))
    assert names or "up{" in expression, title
    assert names <= set(known), title
    for name, labels in SELECTOR.findall(expression):
        wanted = set(LABEL.findall(labels)) - {"instance"}  # which Prometheus adds
        assert wanted <= known[name], (title, name)


def test_everything_exposed_is_shown() -> None:
    """The dashboard leaves out nothing that is counted, but for what says the same twice."""
    shown = {
        name
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
        for name in NAME.findall(target["expr"])
    }
    counted = {name for name in exposed() if not name.endswith("_created")}
    said_otherwise = {
        "davylamp_worker_uptime_seconds",  # worker_up
        "davylamp_output_written_events_total",
    }
    assert counted - shown == said_otherwise


def test_the_guide_has_every_alert_and_every_metric() -> None:
    """docs/operations.md has a heading for each alert, where its runbook leads, and no other."""
    guide = (ROOT / "docs" / "operations.md").read_text()
    headings = re.findall(r"^### (Davylamp\w+)$", guide, re.MULTILINE)
    rules = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
    assert headings == [rule["alert"] for rule in rules]
    for rule in rules:
        runbook = f"docs/operations.md#{rule['alert'].lower()}"
        assert rule["annotations"]["runbook"] == runbook
    outputs = (ROOT / "docs" / "outputs.md").read_text()
    missing = [name for name in exposed() if not name.endswith("_created") and name not in outputs]
    assert missing == []


def test_panels_do_not_overlap() -> None:
    """Each panel has a place of its own in the grid."""
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells


@pytest.mark.programs
def test_promtool_passes_the_alerts() -> None:
    """Each alert fires on what it is for and on nothing that is well, by Prometheus's own word."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool: install prometheus")
    folder = ALERTS.parent
    for command in (["check", "rules", "alerts.yaml"], ["test", "rules", "alerts_test.yaml"]):
        done = subprocess.run(
            [promtool, *command], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested() -> None:
    """alerts_test.yaml has each alert fire once, and once not."""
    tests = yaml.safe_load((ALERTS.parent / "alerts_test.yaml").read_text())["tests"]
    cases = [case for one in tests for case in one["alert_rule_test"]]
    alerts = {rule["alert"] for rule in yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]}
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == alerts
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == alerts
