"""The demonstration itself, on real packets."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

_DEMO = (sys.executable, "-m", "davylamp", "demo")


@pytest.mark.lab
@pytest.mark.timeout(180)
def test_it_shows_what_it_claims(can_lab: None, tmp_path: Path) -> None:
    """Three ways to mine and one way back are cut off and put down to their one tool call."""
    kept = tmp_path / "kept"
    done = subprocess.run(
        [*_DEMO, "--json", "--keep", "kept"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads(done.stdout)
    assert seen["success"]
    assert [one["outcome"] for one in seen["attempts"][:4]] == ["reset", "refused", *["reset"] * 2]
    assert (seen["pool_requests"], seen["pool_shares"]) == (0, 0)
    assert {alert["lineage"]["tool_call_id"] for alert in seen["alerts"]} == {"call_8f3a"}
    assert {alert["incident_id"] for alert in seen["alerts"]} == {seen["alerts"][0]["incident_id"]}
    told = [(alert["flow_id"], alert["alert"]["signature_id"]) for alert in seen["alerts"]]
    assert len(told) == len(set(told)), told
    assert seen["ratio"] > 0
    assert (kept / "gateway" / "events.jsonl").exists()
    assert json.loads((kept / "pool.json").read_text())["complete_requests"] == 0


def test_it_writes_over_nothing(tmp_path: Path) -> None:
    """A folder with something in it is left alone, and the error says what to do."""
    (tmp_path / "mine").touch()
    done = subprocess.run([*_DEMO, "--keep", tmp_path], check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "give --keep a new or an empty folder" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
