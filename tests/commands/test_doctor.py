"""``davylamp doctor`` as its user meets it: a table or JSON, an exit status, nothing changed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from davylamp.cli import main
from davylamp.doctor import Area, Status
from davylamp.lab.namespaces import why_not

pytestmark = pytest.mark.lab


@pytest.fixture(autouse=True)
def _can_try() -> None:
    """Skip where the kernel cannot be tried apart from the host."""
    if reason := why_not():
        pytest.skip(reason)


def test_json_says_what_the_exit_status_says() -> None:
    """The verdict follows from the findings, and the exit status from the verdict."""
    result = CliRunner().invoke(main, ["doctor", "--json"])
    report = json.loads(result.stdout)
    lacking = [one for one in report["findings"] if one["required"] and one["status"] == "missing"]
    assert report["gateway_can_run"] is (not lacking)
    assert result.exit_code == (1 if lacking else 0)
    assert {one["area"] for one in report["findings"]} == set(Area)
    assert {one["status"] for one in report["findings"]} <= set(Status)


def test_the_table_ends_with_the_verdict() -> None:
    """A person sees every finding, the remedies, and one sentence at the end."""
    result = CliRunner().invoke(main, ["doctor"], terminal_width=200)
    assert "nft queue statement" in result.stdout
    assert "redis-server" in result.stdout
    last = result.stdout.strip().splitlines()[-1]
    able = result.exit_code == 0
    assert last == f"The gateway {'can run here' if able else 'cannot run here yet'}."


def test_a_host_without_programs(tmp_path: Path) -> None:
    """What is not installed is named with what does without it, and only nft is needed to run."""
    done = subprocess.run(
        [sys.executable, "-m", "davylamp", "doctor", "--json"],
        env=os.environ | {"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    found = {one["name"]: one for one in json.loads(done.stdout)["findings"]}
    for program in ("git", "wrk", "iperf3", "xmrig", "curl"):
        assert found[program]["status"] == "degraded"
        assert found[program]["meaning"]
        assert found[program]["remedy"].startswith("apt-get install ")
        assert not found[program]["required"]
    assert found["network namespaces"]["status"] == "missing"
    assert "util-linux" in found["network namespaces"]["found"]


def test_without_rights_the_gateway_cannot_run() -> None:
    """Short of the network capabilities the doctor says so, exits 1, and still tries the kernel."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to give rights up")
    dropped = ["setpriv", "--bounding-set", "-net_admin,-net_raw", "--"]
    done = subprocess.run(
        [*dropped, sys.executable, "-m", "davylamp", "doctor", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    findings = {one["name"]: one for one in json.loads(done.stdout)["findings"]}
    assert findings["rights on this host"]["status"] == "missing"
    assert findings["rights on this host"]["remedy"]
    assert findings["NFQUEUE"]["status"] == "ok"


def test_nothing_is_changed_here() -> None:
    """This host's rules are the same after the doctor as before it."""
    before = _rules()
    CliRunner().invoke(main, ["doctor"])
    assert _rules() == before


def _rules() -> list[str]:
    """Return this host's rules without their counters, or why they cannot be listed."""
    listings = (["nft", "--stateless", "list", "ruleset"], ["iptables", "-t", "mangle", "-S"])
    done = (subprocess.run(argv, capture_output=True, text=True, check=False) for argv in listings)
    return [listed.stdout + listed.stderr for listed in done]
