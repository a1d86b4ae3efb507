"""A lab with a running gateway, and short words for what tests do in it."""

import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lines import whole_lines

from davylamp.lab import Lab
from davylamp.lab.gateway import LabGateway
from davylamp.lab.service import Line, Service, run_program
from davylamp.lab.topology import GATEWAY, OUTSIDE

type Words = Sequence[str]

POOL = {4: "203.0.113.10", 6: "2001:db8::10"}
_CONNECT = """
import socket, sys
address, port, source = sys.argv[1:]
try:
    socket.create_connection((address, int(port)), 0.5, (source, 0) if source else None).close()
    print("ok", end="")
except ConnectionRefusedError:
    print("refused", end="")
except TimeoutError:
    print("silent", end="")
"""
WEB = {4: "203.0.113.20", 6: "2001:db8::20"}


def endpoint(address: str, port: int) -> str:
    """Return host:port, an IPv6 address in brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def wait_until(true: Callable[[], object], seconds: float = 10.0, pause: float = 0.02) -> bool:
    """Wait until ``true()`` is; say whether it came to be within the time."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


@dataclass
class World:
    """One lab, its gateway, and the programs started in it, which end with it."""

    lab: Lab
    gateway: LabGateway
    directory: Path
    _services: list[Service] = field(default_factory=list)
    _numbers: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def service(
        self, host: str, program: str, *arguments: str, script: Path | None = None
    ) -> Service:
        """Start a lab program, or a script like one, and wait until it says that it is ready."""
        service = Service(self.lab, host, program, *arguments, script=script)
        self._services.append(service)
        return service.wait_ready()

    def pool(
        self, *ports: int, families: Sequence[int] = (4, 6), extra: Sequence[str] = ()
    ) -> "Pool":
        """Start a pool on these ports of both families."""
        name = f"pool-{self._next()}"
        record = self.directory / f"{name}.record"
        binds = [
            word
            for family in families
            for port in ports
            for word in ("--bind", endpoint(POOL[family], port))
        ]
        service = self.service(OUTSIDE, "pool", *binds, "--record", str(record), *extra)
        return Pool(service, record)

    def web(self, *arguments: str) -> Service:
        """Start the benign services on port 80."""
        return self.service(OUTSIDE, "web", "--bind", endpoint(WEB[4], 80), *arguments)

    def run(self, host: str, program: str, *arguments: str, seconds: float = 30.0) -> Service:
        """Run a lab program to its end."""
        return run_program(self.lab, host, program, arguments, seconds)

    def miner(self, host: str, *pools: str, seconds: float = 20.0, **options: object) -> Service:
        """Run a miner to its end; options are its own, underscores for hyphens."""
        words = [word for pool in pools for word in ("--pool", pool)]
        for name, value in options.items():
            words += [f"--{name.replace('_', '-')}", str(value)]
        return self.run(host, "miner", *words, "--seconds", str(seconds), seconds=seconds + 5)

    def raw(self, host: str, scenario: dict[str, Any]) -> Service:
        """Play a scenario of the raw TCP client to its end."""
        file = self.directory / f"scenario-{self._next()}.json"
        file.write_text(json.dumps(scenario))
        return self.run(host, "rawtcp", str(file))

    def nft(self, *words: str) -> str:
        """Run nft in the gateway host; return what it says."""
        done = self.lab.run(GATEWAY, ["nft", *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    def counter(self, name: str) -> int:
        """Return how many packets a counter of the ruleset has seen."""
        answer = json.loads(self.nft("-j", "list", "counter", "inet", "davylamp", name))
        return int(
            next(one["counter"]["packets"] for one in answer["nftables"] if "counter" in one)
        )

    def forgive(self) -> None:
        """Unblock every endpoint."""
        for version in (4, 6):
            self.nft("flush", "set", "inet", "davylamp", f"blocked{version}")

    def connects(self, host: str, address: str, port: int, source: str = "") -> str:
        """Try to connect; return ``ok``, ``refused`` or ``silent`` (nothing within 0.5 s)."""
        words = [sys.executable, "-I", "-S", "-c", _CONNECT, address, str(port), source]
        done = self.lab.run(host, words, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    def rules(self) -> list[str]:
        """Return what the gateway host's kernel holds of the gateway's: tables and rules."""
        found = [
            f"nft {line}" for line in self.nft("list", "tables").splitlines() if "davylamp" in line
        ]
        for program in ("iptables", "ip6tables"):
            done = self.lab.run(
                GATEWAY, [program, "-w", "-t", "mangle", "-S"], capture_output=True, text=True
            )
            found += [f"{program} {one}" for one in done.stdout.splitlines() if "davylamp" in one]
        return found

    def stop(self) -> None:
        """End the programs and the gateway."""
        for service in self._services:
            service.stop()
        if self.gateway.process is not None and self.gateway.process.poll() is None:
            self.gateway.stop()

    def _next(self) -> int:
        with self._lock:
            self._numbers += 1
            return self._numbers


@dataclass(frozen=True)
class Pool:
    """A pool that runs, and what it saw."""

    service: Service
    record: Path

    def entries(self) -> list[Line]:
        """Return the record's whole lines."""
        return whole_lines(self.record)

    def requests(self) -> list[Line]:
        """Return a line for every complete mining request that the pool received."""
        return self.service.events("request")

    def shares(self) -> int:
        """Return how many shares it accepted."""
        return len(self.service.events("share_accepted"))

    def times(self, peer: str, event: str, **members: object) -> list[float]:
        """Return the monotonic times of one connection's records of that kind."""
        wanted = {"peer": peer, "event": event, **members}
        return [
            float(line["monotonic"]) for line in self.entries() if wanted.items() <= line.items()
        ]
