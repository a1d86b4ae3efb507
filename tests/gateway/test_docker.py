"""A gateway on a Docker host: real containers, real packets on their bridge, the engine's word."""

import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.dockerd import BRIDGE, Dockerd
from tests.gateway.world import wait_until

from davylamp.attribution.place import place_under
from davylamp.events import AlertEvent, decode
from davylamp.lineage import Client

pytestmark = [pytest.mark.docker, pytest.mark.lab, pytest.mark.slow]

PORTS = range(3333, 3338)
LOGIN = json.dumps({"id": 1, "method": "mining.subscribe", "params": ["cgminer/4.10.0"]})


class Gateway:
    """The gateway in the engine's network, and the alerts that it wrote."""

    def __init__(self, dockerd: Dockerd, directory: Path) -> None:
        self._dockerd = dockerd
        self._events = directory / "events.jsonl"
        self._log = directory / "log"
        self.state = directory / "state"
        configuration = {
            "sandboxes": {"interfaces": [BRIDGE]},
            "state_dir": str(self.state),
            "outputs": {"file": str(self._events), "console": False},
            "lineage": {"sources": {"docker": {"enabled": True, "url": dockerd.url}}},
        }
        self._file = directory / "gateway.yaml"
        self._file.write_text(json.dumps(configuration))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it judges."""
        words = [sys.executable, "-m", "davylamp", "gateway", "--config", str(self._file)]
        with self._log.open("ab") as log:
            command = self._dockerd.inside(words)
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        before = self._log.read_text().count("ready: ")
        ready = wait_until(lambda: self._log.read_text().count("ready: ") > before, 30)
        assert ready, self._log.read_text()

    def end(self, number: signal.Signals) -> None:
        """End it, as it is told to or as a crash does."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(20)

    def alert(self, port: int) -> AlertEvent:
        """Wait for the first alert on a connection to a port."""
        found: list[AlertEvent] = []

        def is_there() -> bool:
            lines = self._events.read_bytes().splitlines() if self._events.exists() else []
            events = [decode(line) for line in lines]
            found[:] = [
                one for one in events if isinstance(one, AlertEvent) and one.dest_port == port
            ]
            return bool(found)

        assert wait_until(is_there, 15), self._log.read_text()
        return found[0]


@pytest.fixture
def gateway(dockerd: Dockerd, tmp_path: Path) -> Iterator[Gateway]:
    """Run a gateway there, and leave the engine as it was."""
    made = Gateway(dockerd, tmp_path)
    made.start()
    yield made
    made.end(signal.SIGTERM)
    for one in dockerd.ask("GET", "/containers/json", {"all": "1"}):
        dockerd.remove(one["Id"])


def test_who_mines_is_named_while_addresses_change_hands(
    dockerd: Dockerd, gateway: Gateway
) -> None:
    """By labels and tool call; also a container that began while the gateway was dead."""
    if "outside" not in dockerd.networks:
        dockerd.network("outside", "br-out", "10.93.0.0/24")
    listen = " ".join(f"nc -ll -p {port} -e cat &" for port in PORTS)
    pool = dockerd.run("pool", "sh", "-c", f"{listen} wait", network="outside")
    where = dockerd.address(pool, "outside")
    chance = random.Random(5)
    names = [f"sandbox-{number}" for number in range(4)]
    lives = dict.fromkeys(names, 0)
    ids: dict[str, str] = {}

    def begin(name: str) -> None:
        labels = {"davylamp.run_id": f"run-{name}", "davylamp.rollout_id": f"r-{lives[name]}"}
        ids[name] = dockerd.run(name, labels=labels)

    for name in names:
        begin(name)
    with Client(place_under(gateway.state).url) as trainer:
        for number, port in enumerate(PORTS):
            if port == PORTS[2]:
                gateway.end(signal.SIGKILL)
            changed = chance.sample(names, 2)
            for name in changed:
                dockerd.remove(ids[name])
            for name in reversed(changed):  # each gets another one's address
                lives[name] += 1
                begin(name)
            if port == PORTS[2]:
                gateway.start()
            miner = chance.choice(changed)
            mine = f"printf '%s\\n' '{LOGIN}' | nc -w 2 {where} {port}"
            with trainer.tool_call(container=miner, tool_call_id=f"call-{number}"):
                dockerd.execute(ids[miner], "sh", "-c", mine)
                told = gateway.alert(port).lineage
            assert told is not None
            assert (told.container, told.container_id) == (miner, ids[miner])
            assert (told.run_id, told.rollout_id) == (f"run-{miner}", f"r-{lives[miner]}")
            assert (told.tool_call_id, told.grade) == (f"call-{number}", "observed")
