"""A gateway away from the sandboxes' host: real containers, masqueraded, and the agent there."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.dockerd import Dockerd
from tests.gateway.conftest import Build
from tests.gateway.world import POOL, World, wait_until

from davylamp.attribution.store import Store
from davylamp.events import LineageEvent, LineageInfo
from davylamp.lab.topology import BRIDGE, GATEWAY, GATEWAY_INSIDE
from davylamp.lineage import Client

pytestmark = [pytest.mark.docker, pytest.mark.lab, pytest.mark.slow]

WORKER = "10.90.0.50"
LOGIN = json.dumps({"id": 1, "method": "mining.subscribe", "params": ["cgminer/4.10.0"]})
GATEWAYS_LOOK = 4.0
"""Within so many seconds a gateway knows of a new agent."""
TRACKED = 5
"""Seconds for which the kernel tracks a flow that has ended, instead of 120 or 10."""


class Worker:
    """A Docker host that translates, in the lab's training network, and its agent."""

    def __init__(self, dockerd: Dockerd, world: World) -> None:
        self.dockerd = dockerd
        self.world = world
        self.log = world.directory / "agent.log"
        self.process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def cabled(self) -> Iterator[None]:
        """Give the engine's network a way out, under one address."""
        init = str(self.dockerd._init)
        add = f"ip link add wk type veth peer name up0 netns {init}"
        words = f"{add} && ip link set wk master {BRIDGE} up"
        assert self.world.lab.run(GATEWAY, ["sh", "-c", words]).returncode == 0
        enter = self.dockerd.enter
        enter("ip", "address", "add", f"{WORKER}/24", "dev", "up0")
        enter("ip", "link", "set", "up0", "up")
        enter("ip", "route", "add", "default", "via", GATEWAY_INSIDE[0])
        enter("sysctl", "-qw", "net.ipv4.ip_forward=1")
        enter("nft", "add table ip worker")
        enter("nft", "add chain ip worker post { type nat hook postrouting priority 100; }")
        for state in ("time_wait", "close"):
            name = f"net.netfilter.nf_conntrack_tcp_timeout_{state}"
            enter("sysctl", "-qw", f"{name}={TRACKED}")
        try:
            yield
        finally:
            enter("nft", "delete table ip worker")
            enter("ip", "link", "delete", "up0")

    def start(self) -> None:
        """Start the agent, and wait until gateways know it."""
        words = [
            *(sys.executable, "-m", "davylamp", "agent", "--name", "worker-1"),
            *("--redis", self.world.gateway.lineage_url, "--docker", self.dockerd.url),
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.dockerd.inside(words), stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        with Store(self.world.gateway.lineage_url) as store:
            key = f"{store.operations.keys.prefix}agent:worker-1"
            known = wait_until(lambda: store._execute([("GET", key)])[0], 15)
        assert known, self.log.read_text()

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End the agent; return its exit status."""
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(15)

    def translate(self, container: str, port: int, to: int) -> None:
        """Have what a container sends to a port leave from this port of the host."""
        inner = self.dockerd.address(container)
        match = f"ip saddr {inner} tcp dport {port}"
        self.dockerd.enter("nft", f"add rule ip worker post {match} masquerade to :{to}")

    def mine(self, container: str, port: int) -> None:
        """Begin a miner's login in a container, and end it after two seconds."""
        nc = f"busybox timeout 2 nc {POOL[4]} {port}"
        self.dockerd.execute(container, "sh", "-c", f"printf '%s\\n' '{LOGIN}' | {nc}")

    def tracks(self, port: int) -> bool:
        """Tell whether the host's kernel still tracks a flow to a port."""
        return f"dport={port} " in self.dockerd.enter("cat", "/proc/net/nf_conntrack")

    def late(self, flow_id: int) -> list[LineageEvent]:
        """Return what was said of a flow after its alert was told."""
        events = self.world.gateway.events()
        told = [one for one in events if isinstance(one, LineageEvent)]
        return [one for one in told if one.flow_id == flow_id]

    def told(self, number: int, port: int, source: int) -> list[LineageInfo]:
        """Wait for so many flows between these ports; return all that is said of the last."""

        def flows() -> list[int]:
            ends = WORKER, source, port
            alerts = self.world.gateway.alerts()
            met = (one for one in alerts if (one.src_ip, one.src_port, one.dest_port) == ends)
            return list(dict.fromkeys(one.flow_id for one in met))

        assert wait_until(lambda: len(flows()) >= number, 30), self.log.read_text()
        flow_id = flows()[number - 1]
        alerts = (one for one in self.world.gateway.alerts() if one.flow_id == flow_id)
        first = [one.lineage for one in alerts if one.lineage is not None]
        return [*first, *(one.lineage for one in self.late(flow_id))]

    def named(self, number: int, port: int, source: int) -> LineageInfo:
        """Return who the last of so many flows is said to be, by everything that names it.

        On a busy machine the name comes after the alert; nobody else's may come before it.
        """

        def names() -> list[LineageInfo]:
            return [one for one in self.told(number, port, source) if one.container]

        assert wait_until(names, 30), self.log.read_text()
        assert len({one.container for one in names()}) == 1
        return names()[-1]

    def unknown(self, container: str, port: int, source: int) -> None:
        """Mine where no agent watches: nobody is named, and the reason says which agent is gone."""
        self.translate(container, port, source)
        self.mine(container, port)
        who = self.told(1, port, source)[-1]
        assert (who.grade, who.container) == ("unknown", "")
        assert "worker-1" in who.reason


def test_who_mines_behind_a_hosts_address_is_named(dockerd: Dockerd, build: Build) -> None:
    """Two at once at one pool, a port that goes to the other, and honest ignorance without it."""
    world = build(mode="observe")
    world.pool(3333, 3334, 3335, 3336, families=(4,))
    worker = Worker(dockerd, world)
    ids: dict[str, str] = {}
    with worker.cabled(), Client(world.gateway.lineage_url) as trainer:
        try:
            for number, name in enumerate(("one", "two"), 1):
                labels = {"davylamp.run_id": f"run-{name}"}
                ids[name] = dockerd.run(name, labels=labels)
                worker.translate(ids[name], 3333, 41000 + number)
                worker.translate(ids[name], 3334, 41003)
            worker.start()
            time.sleep(GATEWAYS_LOOK)
            with (
                trainer.tool_call(container="one", tool_call_id="call-1"),
                trainer.tool_call(container="two", tool_call_id="call-2"),
            ):
                for container in ids.values():
                    worker.mine(container, 3333)
                for number, name in enumerate(ids, 1):
                    who = worker.named(1, 3333, 41000 + number)
                    assert (who.container, who.container_id) == (name, ids[name])
                    assert (who.run_id, who.tool_call_id) == (f"run-{name}", f"call-{number}")
                    assert (who.grade, who.source) == ("observed", "agent:worker-1")
            worker.mine(ids["one"], 3334)
            assert worker.named(1, 3334, 41003).container == "one"
            assert wait_until(lambda: not worker.tracks(3334), 30, 0.5)
            worker.mine(ids["two"], 3334)  # the same ends again
            assert worker.named(2, 3334, 41003).container == "two"
            inner = dockerd.address(ids["one"])
            with Store(world.gateway.lineage_url) as store:
                assert store.run(store.operations.look_up(inner)) is None
                dossier = store.run(store.operations.look_up("one"))
            assert dossier is not None
            assert [each.ip for each in dossier.bindings] == [f"worker-1/{inner}"]
            assert dossier.incidents
            assert worker.end() == 0, worker.log.read_text()
            worker.unknown(ids["one"], 3335, 41004)
            worker.start()
            assert worker.end(signal.SIGKILL) == -signal.SIGKILL
            worker.unknown(ids["one"], 3336, 41005)
        finally:
            for made in ids.values():
                dockerd.remove(made)
            if worker.process is not None and worker.process.poll() is None:
                worker.process.kill()
                worker.process.wait()
