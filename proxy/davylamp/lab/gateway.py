"""A davylamp gateway in a lab's gateway host: configured, started, read and ended."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import msgspec
import yaml

from davylamp.errors import KernelError
from davylamp.events import AlertEvent, AnyEvent, StatsEvent, decode
from davylamp.lab.lab import Lab
from davylamp.lab.topology import BRIDGE, GATEWAY, SANDBOX_NETWORKS

READY_SECONDS = 60.0
STOP_SECONDS = 15.0
EVENTS_FILE = "events.jsonl"


def lab_configuration(directory: Path, **changes: Any) -> dict[str, Any]:
    """Return a gateway configuration for a lab, its files under ``directory``.

    ``changes`` replace whole top-level keys.
    """
    return {
        "sandboxes": {
            "interfaces": [BRIDGE],
            "subnets": [str(network) for network in SANDBOX_NETWORKS],
        },
        "state_dir": str(directory / "state"),
        "outputs": {"file": str(directory / EVENTS_FILE), "console": False},
        **changes,
    }


class LabGateway:
    """The gateway of one lab; a context manager, or ``start`` and ``stop``."""

    def __init__(self, lab: Lab, directory: Path, **changes: Any) -> None:
        self.directory = directory
        self.configuration = lab_configuration(directory, **changes)
        self.events_file = Path(self.configuration["outputs"]["file"])
        self.config_file = directory / "gateway.yaml"
        self._lab = lab
        self._log = directory / "gateway.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def lineage_url(self) -> str:
        """The URL of the gateway's own lineage store."""
        return f"unix://{self.directory / 'state' / 'run' / 'lineage.sock'}"

    def start(self, *options: str) -> Self:
        """Start the gateway and wait until it is ready; raise KernelError with its log if not.

        ``options`` are more words for its command line.
        """
        self.process = self._start(*options)
        return self

    def take_over(self, *options: str) -> int:
        """Have a new gateway, configured as is said now, take this one's place.

        Returns the old one's exit status; raises KernelError as :meth:`start` does, and then the
        old one is this gateway still.
        """
        assert self.process is not None
        old, self.process = self.process, self._start("--take-over", *options)
        return old.wait(STOP_SECONDS)

    def _start(self, *options: str) -> "subprocess.Popen[bytes]":
        self.directory.mkdir(parents=True, exist_ok=True)
        self.config_file.write_text(yaml.safe_dump(self.configuration))
        words = ["-m", "davylamp", "gateway", "--config", str(self.config_file), *options]
        with self._log.open("ab") as log:
            begin = log.tell()
            process = self._lab.popen(
                GATEWAY,
                [sys.executable, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + READY_SECONDS
        while b"INFO: ready" not in self._log.read_bytes()[begin:]:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                process.wait()
                raise KernelError(f"the gateway did not start:\n{self.log()}")
            time.sleep(0.02)
        return process

    def stop(self) -> int:
        """End the gateway in good order and return its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(STOP_SECONDS)

    def kill(self) -> None:
        """Kill the gateway's main process outright."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def workers(self) -> dict[str, int]:
        """Return the pids of the gateway's workers by name."""
        return {
            name: pid
            for pid, name in self.children().items()
            if name.startswith(("queue-", "sample-"))
        }

    def children(self) -> dict[int, str]:
        """Return the names of the gateway's own children by pid."""
        assert self.process is not None
        main = self.process.pid
        pids = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        found: dict[int, str] = {}
        for pid in pids:
            with contextlib.suppress(OSError):  # it has ended since
                found[int(pid)] = Path(f"/proc/{pid}/comm").read_text().strip()
        return found

    def log(self) -> str:
        """Return the end of the gateway's log."""
        return self._log.read_text(errors="replace")[-4000:]

    def events(self) -> list[AnyEvent]:
        """Return every event written so far; a line being written is left out."""
        if not self.events_file.exists():
            return []
        whole = self.events_file.read_bytes().rpartition(b"\n")[0]
        found: list[AnyEvent] = []
        for line in whole.splitlines():
            try:
                found.append(decode(line))
            except msgspec.DecodeError:
                continue
        return found

    def alerts(self) -> list[AlertEvent]:
        """Return the alerts written so far."""
        return [event for event in self.events() if isinstance(event, AlertEvent)]

    def counters(self) -> dict[str, int]:
        """Return the workers' latest counters, added up."""
        latest = {event.worker: event for event in self.events() if isinstance(event, StatsEvent)}
        totals: dict[str, int] = {}
        for event in latest.values():
            numbers = {
                "packets": event.packets,
                "bytes": event.bytes,
                "flows": event.flows,
                "alerts": event.alerts,
                **event.counters,
            }
            for name, value in numbers.items():
                totals[name] = totals.get(name, 0) + value
        return totals

    def wait_alerts(
        self, wanted: Callable[[list[AlertEvent]], bool], seconds: float = 10.0
    ) -> list[AlertEvent]:
        """Wait until the alerts are as ``wanted``, at most ``seconds``; return them as they are."""
        deadline = time.monotonic() + seconds
        while not wanted(found := self.alerts()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return found

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.stop()
