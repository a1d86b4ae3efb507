"""The command that shows and changes the proxy's authority."""

import datetime as dt
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from davylamp.cli import main
from davylamp.commands.ca import command
from davylamp.interception.ca import CERTIFICATE_FILE, ensure


def run(*words: str) -> str:
    """Run ``davylamp ca`` and return what it says; it must succeed."""
    done = CliRunner().invoke(command, words)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_gateways_authority_is_shown_and_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the gateway keeps one, that is meant; a change shows another fingerprint."""
    monkeypatch.setenv("DAVYLAMP_STATE", str(tmp_path))
    ensure(tmp_path / "ca", dt.datetime.now(dt.UTC))
    before = json.loads(run("show", "--json"))
    assert before["path"] == str(tmp_path / "ca" / CERTIFICATE_FILE)
    changed = json.loads(run("rotate", "--json", "--grace-days", "7"))
    assert changed["certificate"] == before["path"]
    assert Path(changed["previous"]).exists()
    until = dt.datetime.fromisoformat(changed["until"]) - dt.datetime.now(dt.UTC)
    assert dt.timedelta(days=6) < until <= dt.timedelta(days=7)
    after = json.loads(run("show", "--json"))
    assert after["sha256"] != before["sha256"]
    assert after["warning"] == ""
    assert "clients of the old one fail" in run("rotate", "--grace-days", "0")


def test_a_gateway_elsewhere_is_found_by_its_configuration(tmp_path: Path) -> None:
    """Its own is shown where it says, never mitmproxy's instead."""
    config = tmp_path / "gateway.yaml"
    config.write_text(f"sandboxes: {{interfaces: [br0]}}\nstate_dir: {tmp_path / 'state'}\n")
    ensure(tmp_path / "state" / "ca", dt.datetime.now(dt.UTC))
    shown = json.loads(run("show", "--json", "--config", str(config)))
    assert shown["path"] == str(tmp_path / "state" / "ca" / CERTIFICATE_FILE)


def test_where_there_is_none_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2, and one line that says what to do."""
    with pytest.raises(SystemExit) as ended:
        main(["ca", "rotate", "--cert", str(tmp_path / CERTIFICATE_FILE)])
    assert ended.value.code == 2
    assert "start the gateway" in capsys.readouterr().err
