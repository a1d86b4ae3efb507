"""``davylamp lineage`` as a person and as a script use it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from davylamp.attribution.server import EmbeddedRedis
from davylamp.attribution.store import Store
from davylamp.cli import main
from davylamp.events import AlertEvent

type Run = Callable[..., Result]


@pytest.fixture
def run(server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a subcommand against the server, found by the environment alone."""
    monkeypatch.delenv("DAVYLAMP_LINEAGE_URL", raising=False)
    monkeypatch.setenv("DAVYLAMP_STATE", str(server.place.runtime.parent))

    def invoke(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(main, ["lineage", *arguments])
        assert result.exit_code == code, result.output
        return result

    return invoke


def lines(result: Result) -> list[dict[str, Any]]:
    """Read JSON lines."""
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_bind_show_history_release(run: Run) -> None:
    """What is bound is shown by address, container and lifecycle, and is past after release."""
    bind = ("bind", "10.0.0.7", "a", "--run-id", "r1", "--step", "3", "--at", "100", "--json")
    [bound] = lines(run(*bind))
    assert bound == lines(run(*bind))[0]
    for subject in ("10.0.0.7", "a", bound["lifecycle_id"]):
        [shown] = lines(run("show", subject, "--json"))
        assert shown["current"] == [bound]
        assert shown["record"]["run_id"] == "r1"
    run("bind", "10.0.0.7", "b", "--at", "1970-01-01T00:03:20Z")
    held = lines(run("history", "10.0.0.7", "--json"))
    assert [(b["container"], b["valid_from"], b.get("valid_to")) for b in held] == [
        ("a", 100.0, 200.0),
        ("b", 200.0, None),
    ]
    [then] = lines(run("history", "10.0.0.7", "--at", "150", "--json"))
    assert then["container"] == "a"
    assert lines(run("release", "10.0.0.7", "--at", "300", "--json"))[0]["released"] == 1
    assert "nothing to release" in run("release", "b").stdout
    [shown] = lines(run("show", "b", "--json"))
    assert (shown["current"], len(shown["past"])) == ([], 1)


def test_show_is_readable_and_has_the_incident(
    run: Run, store: Store, make_alert: Callable[..., AlertEvent]
) -> None:
    """A person sees the run, the binding and what the container was stopped from doing."""
    run("bind", "10.0.0.7", "a", "--lifecycle-id", "a@1", "--run-id", "r1", "--label", "team=x")
    store.run(store.operations.record(make_alert("a", "a@1")))
    shown = run("show", "a").stdout
    for word in ("r1", "10.0.0.7", "declared", "CryptoNote login", "198.51.100.9:3333", "reject"):
        assert word in shown
    assert "\x1b" not in shown
    [listed] = lines(run("show", "--json"))
    assert listed["labels"] == {"team": "x"}
    assert "10.0.0.7" in run("show").stdout


def test_markup_in_names_is_only_text(run: Run) -> None:
    """A container cannot colour or hide what the terminal shows."""
    run("bind", "10.0.0.7", "[bold red]x[/]", "--lifecycle-id", "l")
    assert "[bold red]x[/]" in run("show", "10.0.0.7").stdout


def test_what_is_not_there_exits_1(run: Run) -> None:
    """A script can tell "nothing on record" from a failure."""
    assert "nothing is on record" in run("show", "nobody", code=1).stderr
    assert run("show", "nobody", "--json", code=1).stdout == "null\n"
    assert run("history", "10.9.9.9", "--json", code=1).stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("bind", "ten", "a"),
        ("bind", "10.0.0.7"),
        ("bind", "10.0.0.7", "a", "--label", "x"),
        ("bind", "10.0.0.7", "a", "--at", "noon"),
        ("bind", "10.0.0.7", "a", "--grade", "stale"),
        ("show", "a", "--url", "http://x"),
        ("show", "a", "--url", "unix:///nonexistent/x.sock"),
    ],
)
def test_mistakes_and_outages_exit_2(run: Run, arguments: tuple[str, ...]) -> None:
    """Wrong arguments and an absent store are one line on stderr and status 2."""
    result = run(*arguments, code=2)
    assert result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.output


def test_a_command_runs_as_a_tool_call(run: Run, tmp_path: Path) -> None:
    """A shell trainer wraps its tool; its exit status, also by signal, is passed on."""
    run("bind", "10.0.0.7", "a")
    target = tmp_path / "ran"
    run(
        "tool-call",
        "a",
        "--tool",
        "sh",
        "--id",
        "t1",
        "--",
        "sh",
        "-c",
        f"exec >{target}; exit 7",
        code=7,
    )
    run("tool-call", "10.0.0.7", "--id", "t2", "--", "sh", "-c", "kill -TERM $$", code=143)
    run("tool-call", "a", "--id", "t3", "--", "/nonexistent/program", code=2)
    assert target.exists()
    [shown] = lines(run("show", "a", "--json"))
    assert [(c["tool_call_id"], c.get("tool", "")) for c in shown["ended"]] == [
        ("t1", "sh"),
        ("t2", ""),
        ("t3", ""),
    ]
    assert shown["running"] == []


def test_as_a_program(server: EmbeddedRedis) -> None:
    """The installed entry point works from another process, and cut pipes and help are clean."""
    environment = os.environ | {"DAVYLAMP_LINEAGE_URL": server.url}

    def davylamp(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "error", "-m", "davylamp", "lineage", *arguments]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=60
        )

    assert davylamp("bind", "fd00::7", "a", "--grade", "bound").returncode == 0
    shown = davylamp("show", "FD00:0::7", "--json")
    assert json.loads(shown.stdout)["container"] == "a"
    assert shown.stderr == ""
    assert davylamp("show", "nobody").returncode == 1
    assert "Exit status" in davylamp("--help").stdout
