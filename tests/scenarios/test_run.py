"""Scenarios, played in a lab of namespaces; tests/packaging/test_compose.py plays all of them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from davylamp.cli import main
from davylamp.scenarios import judge
from davylamp.scenarios.model import Check, Result
from davylamp.scenarios.namespaces import namespace_stage
from davylamp.scenarios.play import play
from davylamp.scenarios.table import SCENARIOS, named


def test_list_says_what_must_come_of_each() -> None:
    """The list has every scenario of the table, and its expectation."""
    done = CliRunner().invoke(main, ["scenario", "list", "--json"])
    told = {each["name"]: each["expect"] for each in json.loads(done.stdout)}
    assert told == {each.name: each.fate.value for each in SCENARIOS}
    assert {told.pop("benign"), *told.values()} == {"passes", "blocked"}
    assert "websocket" in CliRunner().invoke(main, ["scenario", "list"]).stdout


def test_what_cannot_be_played_is_bad_input() -> None:
    """An unknown name, and repetition where nothing would last, end with status 2."""
    unknown = CliRunner().invoke(main, ["scenario", "run", "nonsense"])
    assert unknown.exit_code == 2
    assert "intermittent" in unknown.stderr
    assert CliRunner().invoke(main, ["scenario", "run", "tls", "--every", "1"]).exit_code == 2


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.usefixtures("can_lab")
def test_run_in_a_lab_ends_with_0_where_all_came_as_expected() -> None:
    """A tunnel by ssh and honest traffic, through the command as it is typed."""
    words = ("scenario", "run", "reverse-tunnel", "benign", "--json")
    done = subprocess.run(
        [sys.executable, "-m", "davylamp", *words], capture_output=True, text=True, check=False
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [bad for each in told for bad in each["checks"] if not bad["good"]] == []
    assert [len(each["incidents"]) for each in told] == [1, 0]
    assert done.returncode == 0, done.stderr


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.usefixtures("can_lab")
def test_what_is_not_stopped_is_not_as_expected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a gateway that only observes the same programs mine, and the judgement says so."""
    monkeypatch.setattr(judge, "PATIENCE", 2.0)
    chosen = named("websocket"), named("proxy")
    with namespace_stage("scenario-observe", tmp_path, 2, mode="observe") as stage:
        results = [play(each, stage, lambda _: None) for each in chosen]
        assert stage.requests_received() > 0
    for result in results:
        assert not result.good
        bad = _bad(result)
        assert any("…" in each.what and "exit status 0" in each.seen for each in bad)
        assert any("no complete mining request" in each.what for each in bad)
        assert any("rejected, nothing delivered" in each.what for each in bad)


def _bad(result: Result) -> list[Check]:
    return [check for check in result.checks if not check.good]
