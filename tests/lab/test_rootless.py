"""The lab without privilege, driven from outside its user namespace as from a user's shell."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.lab

type Runner = Callable[..., Any]

_USE = """
import os, sys
from davylamp.lab import Lab, LabSpec
with Lab.create(LabSpec("rootless")) as lab:
    def say(host, *argv):
        run = lab.run(host, argv, capture_output=True, text=True)
        print(run.returncode, run.stdout.strip() or run.stderr.strip(), sep="|")
    print(os.geteuid() != 0)
    say("sandbox-1", "id", "-u")
    for address in ("203.0.113.53", "2001:db8::53"):
        say("sandbox-1", "bash", "-c", f"exec 3<>/dev/tcp/{address}/53 && echo reached")
    say("sandbox-2", "getent", "hosts", "pool.example")
    say("gateway", "nft", "add", "table", "inet", "dl-test")
    say("gateway", "iptables", "-A", "FORWARD", "-s", "192.0.2.1", "-j", "DROP")
    say("gateway", "cat", "/proc/sys/net/ipv4/ip_forward")
    owners = [os.stat(f"/proc/{pid}/ns/user").st_ino for pid in ("self", lab.gateway.pid)]
    print(owners[0] != owners[1])
print(os.listdir(os.environ["DAVYLAMP_RUNTIME_DIR"] + "/labs"))
"""

_CLI = ("-c", "from davylamp.commands.lab import command; command()")


@pytest.fixture
def stranger(as_stranger: tuple[Runner, Path]) -> Runner:
    """Run Python without privilege, where this kernel lets such a user build labs."""
    runner, _ = as_stranger
    probe = "from davylamp.lab.namespaces import why_not; print(why_not() or '')"
    if reason := runner("-c", probe).stdout.strip():
        pytest.skip(reason)
    return runner


def test_a_lab_needs_no_privilege(stranger: Runner) -> None:
    """As a plain user everything works: both families, DNS, filtering, and the end."""
    run = stranger("-c", _USE)
    assert run.stdout.splitlines() == [
        "True",
        "0|0",
        "0|reached",
        "0|reached",
        "0|2001:db8::10    pool.example",
        "0|",
        "0|",
        "0|1",
        "True",
        "[]",
    ], run.stderr


def test_a_plain_users_lab_stays_until_down(
    as_stranger: tuple[Runner, Path], stranger: Runner, note_lab: Callable[[Path], Any]
) -> None:
    """up, exec and down are three commands apart for a plain user too, and leave nothing."""
    up = stranger(*_CLI, "up", "--lab", "plain", "--sandboxes", "1", "--json")
    assert up.returncode == 0, up.stderr
    directory = Path(json.loads(up.stdout)["directory"])
    assert directory.is_relative_to(as_stranger[1])
    traces = note_lab(directory)
    owners = {Path(f"/proc/{ref.pid}").stat().st_uid for ref in traces.processes}
    assert len(owners) == 1
    assert owners != {0}
    ran = stranger(*_CLI, "exec", "--lab", "plain", "sandbox-1", "--", "sh", "-c", "id -u; exit 9")
    assert (ran.returncode, ran.stdout) == (9, "0\n"), ran.stderr
    down = stranger(*_CLI, "down", "--lab", "plain")
    assert down.returncode == 0, down.stderr
    assert traces.left() == []
