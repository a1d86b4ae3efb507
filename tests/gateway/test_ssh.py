"""SSH by policy, with a real OpenSSH server and client."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.gateway.world import WEB, World, wait_until

from davylamp.lab.topology import OUTSIDE

pytestmark = [pytest.mark.lab, pytest.mark.programs]

# Privilege separation wants /run/sshd: give it one in a mount namespace of its own.
_START = "mount -t tmpfs tmpfs /run && mkdir /run/sshd && exec {sshd} -D -e -f {config}"


def make_key(file: Path) -> Path:
    """Make a key pair without a passphrase."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return file


@pytest.fixture
def key(world: World) -> Path:
    """Start sshd in the outside world on ports 22 and 2222; give a key that it lets in."""
    sshd = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin")
    if os.geteuid() != 0:
        pytest.skip("sshd switches users, for which the lab must be root's")
    if not sshd or not shutil.which("ssh"):
        pytest.skip("needs openssh-server and openssh-client")
    folder = world.directory
    host_key, key = make_key(folder / "host"), make_key(folder / "user")
    config = folder / "sshd_config"
    options = {
        "HostKey": host_key,
        "AuthorizedKeysFile": f"{key}.pub",
        "PermitRootLogin": "prohibit-password",
        "StrictModes": "no",
        "UsePAM": "no",
        "PidFile": "none",
    }
    lines = [f"ListenAddress {WEB[4]}:{port}" for port in (22, 2222)]
    lines += [f"{name} {value}" for name, value in options.items()]
    config.write_text("\n".join(lines) + "\n")
    start = _START.format(sshd=sshd, config=config)
    with (folder / "sshd.log").open("wb") as log:
        world.lab.spawn(OUTSIDE, ["unshare", "-m", "sh", "-c", start], stdout=log, stderr=log)
    listening = ["sh", "-c", "ss -ltn | grep -q :2222"]
    assert wait_until(lambda: world.lab.run(OUTSIDE, listening).returncode == 0)
    return key


def ssh(world: World, key: Path, port: int, command: str) -> "subprocess.CompletedProcess[str]":
    """Log in from a sandbox and run a command."""
    options = ("BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null")
    words = [word for option in options for word in ("-o", option)]
    to = ["-F", "none", "-i", str(key), "-p", str(port), f"root@{WEB[4]}", command]
    return world.lab.run(
        "sandbox-1", ["ssh", "-q", *words, *to], capture_output=True, text=True, timeout=30
    )


def test_a_login_that_policy_allows_is_undisturbed(world: World, key: Path) -> None:
    """A login on port 22 works, with a megabyte of output, and leaves no alert."""
    done = ssh(world, key, 22, "head -c 1000000 /dev/zero | tr '\\0' x")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "x" * 1_000_000
    assert world.gateway.alerts() == []


def test_a_login_elsewhere_is_rejected(world: World, key: Path) -> None:
    """A login on port 2222 is cut off before it is one, with an alert that says why."""
    done = ssh(world, key, 2222, "true")
    assert done.returncode == 255
    [alert, *_] = world.gateway.wait_alerts(bool)
    assert alert.alert.category == "tunnel"
    assert alert.verdict.action == "reject"
    assert (alert.dest_ip, alert.dest_port, alert.app_proto) == (WEB[4], 2222, "ssh")
    assert "Accepted" not in (world.directory / "sshd.log").read_text()
