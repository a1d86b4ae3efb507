"""The gateway as deploy/systemd/davylamp.service runs it: confined, and heard by its manager."""

import ctypes
import json
import os
import re
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.gateway.conftest import Build
from tests.gateway.world import POOL, World, endpoint, wait_until
from tests.lines import whole_lines

from davylamp.lab.topology import GATEWAY

if TYPE_CHECKING:
    import subprocess

pytestmark = [pytest.mark.lab, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
UNIT = (ROOT / "deploy" / "systemd" / "davylamp.service").read_text()
# What MemoryDenyWriteExecute= asks for, asked of the kernel itself (prctl(2), Linux 6.3).
_PR_SET_MDWE = 65
NO_NEW_CODE = (
    "import ctypes, os, sys; "
    f"ctypes.CDLL(None).prctl({_PR_SET_MDWE}, 1, 0, 0, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)


class Manager:
    """The socket that systemd would listen at, and what was said to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    def heard(self, text: str, since: int = 0) -> bool:
        """Say whether something with that text was said after the first ``since`` messages."""
        while True:
            try:
                self.said.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return any(text in one for one in self.said[since:])

    def close(self) -> None:
        """Release the socket."""
        self._socket.close()


def capabilities() -> list[str]:
    """Return those that the unit leaves, as setpriv(1) names them."""
    found = re.search(r"^CapabilityBoundingSet=(.+)$", UNIT, re.MULTILINE)
    assert found is not None
    return [f"+{name.removeprefix('CAP_').lower()}" for name in found[1].split()]


def start(world: World, manager: Manager, log: Path) -> "subprocess.Popen[bytes]":
    """Start the gateway under the unit's restrictions, those that need no systemd."""
    left = ",".join(["-all", *capabilities()])
    confined = ["setpriv", f"--bounding-set={left}", f"--inh-caps={left}", "--no-new-privs"]
    if ctypes.CDLL(None).prctl(_PR_SET_MDWE + 1, 0, 0, 0, 0) >= 0:
        confined += ["--", sys.executable, "-c", NO_NEW_CODE]
    config = str(world.gateway.config_file)
    gateway = [sys.executable, "-m", "davylamp", "gateway", "--config", config]
    environment = {**world.lab.environment(), "NOTIFY_SOCKET": str(manager.path)}
    environment["WATCHDOG_USEC"] = "600000"
    with log.open("wb") as out:
        return world.lab.popen(
            GATEWAY, [*confined, *gateway, "--log-format", "json"], env=environment, stderr=out
        )


def test_confined_it_enforces_and_feeds_the_watchdog_while_its_workers_work(build: Build) -> None:
    """With two capabilities a miner is stopped; a worker that hangs ends the watchdog's food."""
    if shutil.which("setpriv") is None or os.geteuid() != 0:
        pytest.skip("needs setpriv and root")
    world = build(start=False)
    world.gateway.directory.mkdir(parents=True)
    world.gateway.config_file.write_text(json.dumps(world.gateway.configuration))
    manager = Manager(world.directory / "notify")
    log = world.directory / "log"
    process = start(world, manager, log)
    world.gateway.process = process
    try:
        assert wait_until(lambda: manager.heard("READY=1\nSTATUS=enforce"), 20), log.read_text()
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert "CapEff:\t0000000000003000" in status
        world.pool(3333, families=(4,))
        miner = world.miner("sandbox-1", endpoint(POOL[4], 3333), attempts=1)
        assert miner.events("reset")
        assert world.gateway.wait_alerts(bool)
        assert wait_until(lambda: manager.heard("WATCHDOG=1"))
        worker = world.gateway.workers()["queue-40"]
        os.kill(worker, signal.SIGSTOP)
        assert wait_until(lambda: manager.heard("STATUS=queue-40 has said nothing"), 20)
        heard = len(manager.said)
        time.sleep(1)  # five times as long as between two feeds
        assert not manager.heard("WATCHDOG=1", heard)
        os.kill(worker, signal.SIGCONT)
        assert wait_until(lambda: manager.heard("WATCHDOG=1", heard))
        assert world.gateway.stop() == 0
        assert manager.heard("STOPPING=1")
        records = whole_lines(log)
        assert any(one["message"].startswith("ready: enforce") for one in records)
        assert {"timestamp", "level", "logger", "pid"} <= set(records[0])
    finally:
        manager.close()


def test_the_api_is_asked_before_the_gateway_runs(build: Build) -> None:
    """A request that comes to systemd's socket starts the gateway, waits, and is answered by it."""
    activate = shutil.which("systemd-socket-activate")
    if activate is None:
        pytest.skip("no systemd-socket-activate: install systemd")
    world = build(start=False, api={"listen": "127.0.0.1:9465"})
    world.gateway.directory.mkdir(parents=True)
    world.gateway.config_file.write_text(json.dumps(world.gateway.configuration))
    listening = [activate, "--listen=127.0.0.1:9465", "--fdname=api"]
    gateway = [sys.executable, "-m", "davylamp", "gateway", "--config"]
    log = world.directory / "log"
    with log.open("wb") as out:
        words = [*listening, *gateway, str(world.gateway.config_file)]
        world.gateway.process = world.lab.popen(GATEWAY, words, stderr=out)
    assert wait_until(lambda: "Listening on" in log.read_text()), log.read_text()
    ask = "import urllib.request as u, sys; print(u.urlopen(sys.argv[1], timeout=30).status)"
    url = "http://127.0.0.1:9465/api/v1/session"
    done = world.lab.run(GATEWAY, [sys.executable, "-c", ask, url], capture_output=True, text=True)
    assert done.stdout == "200\n", (done.stderr, log.read_text())
    assert wait_until(lambda: "INFO: ready" in log.read_text(), 20)
    # Its children hold no socket of the API's.
    worker = world.gateway.workers()["queue-40"]
    own = Path(f"/proc/{world.gateway.process.pid}/fd/3").readlink()
    assert own not in {one.readlink() for one in Path(f"/proc/{worker}/fd").iterdir()}
