"""A lab of network namespaces with the outside world of the scenarios, made for one use."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from davylamp.lab import Lab, LabSpec
from davylamp.lab.gateway import LabGateway
from davylamp.lab.lab import Host
from davylamp.lab.programs.bastion import prepare
from davylamp.lab.service import Service
from davylamp.lineage import Client
from davylamp.scenarios.compose import command_of, requests_in
from davylamp.scenarios.model import Done, Facts
from davylamp.scenarios.table import (
    BASTION,
    BASTION_PORT,
    NAMES,
    POOL,
    POOL_PORTS,
    POOL_TLS_PORT,
    RELAY,
    RELAY_PORT,
    RPC_PORT,
    WEB,
    WEB_PORT,
    WEB_TLS_PORT,
)

_API_PORT = 9465
_ASK = """import sys, urllib.error, urllib.request
asked = urllib.request.Request(sys.argv[1], headers={"Authorization": "Bearer " + sys.argv[2]})
try:
    sys.stdout.buffer.write(urllib.request.urlopen(asked, timeout=10).read())
except urllib.error.HTTPError:
    pass
"""
# sshd wants /run/sshd, and the machine's own /run is not ours to write to.
_WITH_RUN = 'mount -t tmpfs tmpfs /run && mkdir /run/sshd && exec "$@"'


class NamespaceStage:
    """The stage. Each sandbox host is used once."""

    def __init__(self, lab: Lab, gateway: LabGateway, folder: Path) -> None:
        self.lineage_url = gateway.lineage_url
        self._lab = lab
        self._gateway = gateway
        self._folder = folder
        self._hosts = iter(lab.sandboxes)

    @contextmanager
    def sandbox(self, facts: Facts) -> Iterator["HostSandbox"]:
        """Say whose the next sandbox host is, until the block is left."""
        host = next(self._hosts)
        with Client(self.lineage_url) as trainer:
            for address in (host.ipv4, host.ipv6):
                trainer.bind(
                    ip=address,
                    container=facts.container,
                    lifecycle_id=f"{facts.container}@lab",
                    experiment_id=facts.experiment_id,
                    run_id=facts.run_id,
                    rollout_id=facts.rollout_id,
                    trajectory_id=facts.trajectory_id,
                )
            yield HostSandbox(self._lab, host, self._folder)
            trainer.release(container=facts.container)

    def fetch(self, path: str) -> bytes:
        """Ask the API from the gateway host, where it listens on loopback."""
        token = self._gateway.directory / "state" / "api" / "read.token"
        url = f"http://127.0.0.1:{_API_PORT}{path}"
        asked = [sys.executable, "-I", "-c", _ASK, url, token.read_text().strip()]
        done = self._lab.run("gateway", asked, timeout=30, capture_output=True, check=True)
        return bytes(done.stdout)

    def requests_received(self) -> int:
        """Read what the pool and the web server count."""
        return requests_in(self._folder)


class HostSandbox:
    """One sandbox host."""

    def __init__(self, lab: Lab, host: Host, folder: Path) -> None:
        self._lab = lab
        self._host = host
        self._folder = folder

    def run(self, argv: Sequence[str], seconds: float) -> Done:
        """Run a step's program in it."""
        done = self._lab.run(
            self._host,
            command_of(argv, sys.executable, self._folder),
            timeout=seconds,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return Done(done.returncode, done.stdout.decode(errors="replace"))


@contextmanager
def namespace_stage(
    name: str, folder: Path, sandboxes: int, **changes: Any
) -> Iterator[NamespaceStage]:
    """Build a lab of that name, with files in ``folder``; raise KernelError with a remedy.

    ``changes`` are of the gateway's configuration, as in `lab_configuration`.
    """
    zone = {name: (address,) for name, address in NAMES.items()}
    outside = tuple(dict.fromkeys(NAMES.values()))
    with ExitStack() as stack:
        spec = LabSpec(name, sandboxes=sandboxes, zone=zone, outside_addresses=outside)
        lab = stack.enter_context(Lab.create(spec))
        for service in _services(lab, folder):
            stack.enter_context(service)
        if os.geteuid() == 0:
            serve = prepare(f"{BASTION}:{BASTION_PORT}", folder / "bastion")
            quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
            shell = ("unshare", "--mount", "sh", "-c", _WITH_RUN, "sh")
            lab.spawn("outside", [*shell, *serve], stderr=subprocess.DEVNULL, **quiet)
        gateway = LabGateway(
            lab, folder / "gateway", api={"listen": f"127.0.0.1:{_API_PORT}"}, **changes
        )
        stack.enter_context(gateway)
        yield NamespaceStage(lab, gateway, folder)


def _services(lab: Lab, folder: Path) -> list[Service]:
    pool = [each for port in POOL_PORTS for each in ("--bind", f"{POOL}:{port}")]
    pool += ["--tls-bind", f"{POOL}:{POOL_TLS_PORT}", "--summary", str(folder / "pool.json")]
    web = ["--bind", f"{WEB}:{WEB_PORT}", "--tls-bind", f"{WEB}:{WEB_TLS_PORT}"]
    web += ["--rpc-bind", f"{WEB}:{RPC_PORT}", "--summary", str(folder / "web.json")]
    return [
        Service(lab, "outside", "pool", *pool),
        Service(lab, "outside", "web", *web),
        Service(lab, "outside", "relay", "--bind", f"{RELAY}:{RELAY_PORT}"),
    ]
