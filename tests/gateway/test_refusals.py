"""What a gateway that cannot run says, and the exit status it ends with."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.gateway.conftest import Build

from davylamp.lab.topology import GATEWAY

_BRIDGE = "sandboxes: {interfaces: [br-train]}\n"
_WRONG = {
    "": "name the training bridge under sandboxes.interfaces",
    "sandboxes: [": "not YAML",
    "sandboxes: {interface: br-train}": "unknown field `interface`",
    "sandboxes: {interfaces: br-train}": "Expected `array`, got `str`",
    "sandboxes: {subnets: [10.0.0.1/8]}": "10.0.0.1/8 has host bits set",
    "sandboxes: {interfaces: ['br train']}": "cannot be a network interface's name",
    f"{_BRIDGE}mode: block": "Invalid enum value 'block' - at `$.mode`",
    f"{_BRIDGE}exception_policy: open": "Invalid enum value 'open'",
    f"{_BRIDGE}queues: {{workers: 0}}": ">= 1 - at `$.queues.workers`",
    f"{_BRIDGE}queues: {{first: 64999, workers: 9999}}": "not in 0-65535",
    f"{_BRIDGE}policy: {{actions: {{minig: drop}}}}": "no category 'minig'",
    f"{_BRIDGE}policy: {{ssh: {{networks: [here]}}}}": "policy.ssh.networks",
    f"{_BRIDGE}policy: {{ssh: {{ports: [0]}}}}": ">= 1 - at `$.policy.ssh.ports[0]`",
    f"{_BRIDGE}lineage: {{redis: 'http://here'}}": "is not understood; write redis://",
    f"{_BRIDGE}outputs: {{file: /nowhere/at/all}}": "cannot write events to /nowhere/at/all",
    f"{_BRIDGE}rules: {{table: 'a b'}}": "cannot name an nft table",
    f"{_BRIDGE}rules: {{mark_shift: 30}}": "<= 28 - at `$.rules.mark_shift`",
    f"{_BRIDGE}signatures: /nowhere": "/nowhere",
    f"{_BRIDGE}{'a' * (1 << 20)}": "larger than",
}


def start(*words: str) -> "subprocess.CompletedProcess[str]":
    """Run the command until it ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "davylamp", "gateway", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def refusal(done: "subprocess.CompletedProcess[str]") -> str:
    """Return the one line that says why the command ended with status 2."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("davylamp: ")]
    return line


@pytest.mark.parametrize("text", _WRONG, ids=lambda text: text[-40:] or "empty")
def test_a_wrong_configuration_is_refused_with_its_remedy(tmp_path: Path, text: str) -> None:
    """Each mistake is named by its key, in one line, before anything of the host is touched."""
    file = tmp_path / "gateway.yaml"
    state = "" if "[" in text[-1:] or not text else f"\nstate_dir: {tmp_path}/state\n"
    file.write_text(text + state)
    assert _WRONG[text] in refusal(start("--config", str(file)))
    assert not (tmp_path / "state").exists()


def test_a_missing_file_and_no_file_are_refused(tmp_path: Path) -> None:
    """Neither a file that is not there nor none at all makes a gateway."""
    assert "name a YAML file" in refusal(start("--config", str(tmp_path / "none.yaml")))
    assert "give --config FILE, or --set sandboxes.interfaces=NAME" in refusal(start())


@pytest.mark.lab
def test_a_busy_queue_is_refused_and_nothing_is_left(build: Build) -> None:
    """A second gateway on the same queues ends with status 2; the first does not notice."""
    world = build()
    before = world.rules()
    second = world.directory / "second.yaml"
    second.write_text(
        "sandboxes: {interfaces: [br-train]}\n"
        f"state_dir: {world.directory / 'second'}\n"
        "rules: {table: second, sample_group: 41}\n"
    )
    done = world.lab.run(
        GATEWAY,
        [sys.executable, "-m", "davylamp", "gateway", "--config", str(second)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert re.search(r"cannot bind NFQUEUE 4\d: another process has it; stop", done.stderr)
    assert re.search(r"queue-4\d cannot start", done.stderr)
    assert world.rules() == before
    assert world.gateway.process is not None
    assert world.gateway.process.poll() is None
    sockets = (world.directory / "second" / "run").glob("*.sock")
    assert list(sockets) == []


@pytest.mark.lab
def test_a_gateway_without_rights_is_refused(build: Build) -> None:
    """Without CAP_NET_ADMIN the message says which right is missing; the status is 2."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("needs root, and setpriv to give the right away")
    world = build(start=False)
    world.directory.joinpath("state").mkdir()
    config = world.directory / "gateway.yaml"
    config.write_text(f"{_BRIDGE}state_dir: {world.directory / 'state'}\n")
    done = world.lab.run(
        GATEWAY,
        [
            *("setpriv", "--bounding-set", "-net_admin,-net_raw", "--inh-caps", "-all", "--"),
            *(sys.executable, "-m", "davylamp", "gateway", "--config", str(config)),
        ],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "CAP_NET_ADMIN" in done.stderr
