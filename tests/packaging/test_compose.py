"""The images, and the lab of docker-compose.yml, on a real Docker engine of the test's own.

Nothing comes from a registry: the base is this machine's own files. The engine writes the packet
filter rules that it writes by default, so that the networks are apart as on any Docker host.
"""

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.dockerd import TRAIN, Dockerd, why_not

from davylamp.scenarios.table import SCENARIOS

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "davylamp-test"
_DISTRIBUTIONS = """import importlib.metadata, json
print(json.dumps([(each.name, each.version) for each in importlib.metadata.distributions()]))
"""

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(400)]


@dataclass(frozen=True, slots=True)
class Host:
    """A Docker host with the images on it."""

    engine: Dockerd

    def environment(self) -> dict[str, str]:
        """Return the variables of whoever uses the engine."""
        return os.environ | {
            "DOCKER_HOST": self.engine.url,
            "DOCKER_SOCKET": str(self.engine.socket),
            "DAVYLAMP_REDIS_IMAGE": "davylamp-lab:dev",
            "COMPOSE_PROJECT_NAME": PROJECT,
            "DOCKER_BUILDKIT": "0",
        }

    def run(self, *words: str, status: int = 0) -> str:
        """Run a program against the engine; return what it printed."""
        done = subprocess.run(
            words, cwd=ROOT, env=self.environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == status, f"{words}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    def rules(self) -> str:
        """Return the packet filter of the host."""
        return self.engine.enter("nft", "list", "ruleset")

    def inspect(self, image: str) -> dict[str, Any]:
        """Return what an image says of itself."""
        found: dict[str, Any] = json.loads(self.run("docker", "image", "inspect", image))[0]
        return found


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Start an engine and build both images on it, out of this machine's files and the lock."""
    for program in ("docker", "docker-compose", "ssh", "sshd", "nft", "iptables"):
        if shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin") is None:
            pytest.skip(f"no {program} installed")
    if reason := why_not():
        pytest.skip(reason)
    engine = Dockerd(tmp_path_factory.mktemp("engine"), filters=True)
    try:
        engine.create()
        engine.ask("DELETE", f"/networks/{TRAIN}")
        made = Host(engine)
        made.run("make", "--no-print-directory", "base-image")
        options = ("BASE=davylamp-base:local", "BUILD_NETWORK=none")
        made.run("make", "--no-print-directory", "image", *options)
        yield made
    finally:
        engine.close()


def test_the_images_are_what_they_say(host: Host) -> None:
    """They run as nobody, are small, and carry labels and a bill of what is in them."""
    small, lab = host.inspect("davylamp:dev"), host.inspect("davylamp-lab:dev")
    base = host.inspect("davylamp-base:local")
    assert small["Config"]["User"] == lab["Config"]["User"] == "65532:65532"
    assert small["Config"]["Labels"]["org.opencontainers.image.title"] == "davylamp"
    assert len(small["Config"]["Labels"]["org.opencontainers.image.revision"]) == 40
    assert small["Size"] - base["Size"] < 80e6
    # The images share every layer but the lab's last ones.
    assert lab["RootFS"]["Layers"][: len(small["RootFS"]["Layers"])] == small["RootFS"]["Layers"]
    bare = ("docker", "run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL")
    assert "davylamp, version" in host.run(*bare, "davylamp:dev", "--version")
    read = ("--entrypoint", "cat", "davylamp:dev", "/usr/share/davylamp/sbom.cdx.json")
    bill = json.loads(host.run(*bare, *read))
    assert bill["bomFormat"] == "CycloneDX"
    named = {(each["name"], each["version"]) for each in bill["components"]}
    there = host.run(*bare, "--entrypoint", "python", "davylamp:dev", "-c", _DISTRIBUTIONS)
    have = {(name.lower().replace("_", "-"), version) for name, version in json.loads(there)}
    assert have - named == {("davylamp", "0.1.0")}


def test_every_scenario_comes_as_expected_and_nothing_stays(host: Host) -> None:
    """The lab comes up, each scenario is judged through the gateway's API, and all goes again."""
    compose = ("docker-compose", "--profile", "lab")
    networks = set(host.run("docker", "network", "ls", "--format", "{{.Name}}").split())
    try:
        host.run(*compose, "up", "-d")
        gateway = _status(host, "gateway")
        assert gateway["Capabilities"] == (["NET_ADMIN", "NET_RAW"], ["ALL"])
        assert gateway["Held"] == f"{1 << 12 | 1 << 13:016x}"  # capabilities(7): NET_ADMIN, NET_RAW
        said = host.run("docker-compose", "run", "--rm", "-T", "scenario", "--json", "all")
        told = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
        bad = [(each["scenario"], c) for each in told for c in each["checks"] if not c["good"]]
        assert bad == []
        assert [each["scenario"] for each in told] == [each.name for each in SCENARIOS]
        assert all(each["checks"] for each in told)
        assert "table inet davylamp" in host.rules()
        # The trainer plays honest work all the while.
        _until(lambda: "benign: as expected" in host.run("docker", "logs", _name("trainer")))
        assert "NOT as expected" not in host.run("docker", "logs", _name("trainer"))
    finally:
        with contextlib.suppress(AssertionError):  # a scenario's container may still be going
            host.run(*compose, "down", "--volumes")
        host.run(*compose, "down", "--volumes")
    assert host.run("docker", "ps", "--all", "--quiet") == ""
    assert host.run("docker", "volume", "ls", "--quiet") == ""
    left = set(host.run("docker", "network", "ls", "--format", "{{.Name}}").split())
    assert left == networks
    rules = host.rules()
    assert "davylamp" not in rules
    assert "queue" not in rules
    assert "br-train" not in rules


def _name(service: str) -> str:
    return f"{PROJECT}_{service}_1"


def _status(host: Host, service: str) -> dict[str, Any]:
    """Return what a service's container may do: what was asked for, and what it holds."""
    name = _name(service)
    asked = json.loads(host.run("docker", "inspect", name))[0]["HostConfig"]
    status = host.run("docker", "exec", name, "cat", "/proc/1/status")
    held = next(line.split()[1] for line in status.splitlines() if line.startswith("CapBnd"))
    assert asked["ReadonlyRootfs"]
    assert "no-new-privileges:true" in asked["SecurityOpt"]
    return {"Capabilities": (sorted(asked["CapAdd"]), asked["CapDrop"]), "Held": held}


def _until(true: Any, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.5)
