"""Redis goes away during an attack: nothing waits, nothing is lost, nobody is wrongly named."""

import os
import signal
import socket
import time

import pytest
import redis
from tests.gateway.conftest import Build
from tests.gateway.redisserver import Server
from tests.gateway.world import POOL, World, endpoint, wait_until

from davylamp.events import AlertEvent, decode
from davylamp.lineage import Client

pytestmark = pytest.mark.lab

_EVENTS = "davylamp:events"


def mine(world: World, port: int) -> None:
    """Try to mine once; it must be cut off at once whatever Redis does."""
    done = world.miner("sandbox-1", endpoint(POOL[4], port), attempts=1)
    sent, reset = done.events("connected")[0], done.events("reset")[0]
    assert reset["monotonic"] - sent["monotonic"] < 0.5


def published(url: str) -> list[AlertEvent]:
    """Return the alerts in the Redis stream."""
    with redis.Redis.from_url(url) as client:
        entries = client.xrange(_EVENTS)
    found = [decode(next(iter(fields.values()))) for _, fields in entries]
    return [event for event in found if isinstance(event, AlertEvent)]


def arrived(world: World, url: str, flows: int) -> dict[int, AlertEvent]:
    """Wait until each flow's alerts are in file and stream; each must be there exactly once."""
    world.gateway.wait_alerts(lambda found: len({one.flow_id for one in found}) >= flows)
    written = world.gateway.alerts()
    assert wait_until(lambda: len(published(url)) >= len(written), 20)
    time.sleep(0.5)
    kept = published(url)
    assert sorted(one.timestamp for one in kept) == sorted(one.timestamp for one in written)
    assert len({(one.flow_id, one.alert.signature_id) for one in kept}) == len(kept)
    return {one.dest_port: one for one in kept}


def grade(alert: AlertEvent) -> tuple[str, str]:
    """Return how sure the alert is, and of which container."""
    assert alert.lineage is not None
    return alert.lineage.grade, alert.lineage.container


@pytest.mark.parametrize("how", ["frozen", "killed"])
def test_a_sites_redis_away_during_an_attack(build: Build, server: Server, how: str) -> None:
    """Blocking goes on, events arrive once, nobody is named for sure until Redis is back."""
    world = build(lineage={"redis": server.url})
    pool = world.pool(4000, 4001, 4002, 4003, families=(4,))
    sandbox = world.lab.sandboxes[0]
    with Client(server.url) as trainer:
        trainer.bind(ip=sandbox.ipv4, container="first")
        mine(world, 4000)
        world.gateway.wait_alerts(bool)
        if how == "frozen":
            server.process.send_signal(signal.SIGSTOP)
        else:
            server.kill()
        # The address changes hands unseen: what the trainer says now waits in its own memory.
        trainer.bind(ip=sandbox.ipv4, container="second")
        mine(world, 4001)
        time.sleep(2.5)
        mine(world, 4002)
        world.gateway.wait_alerts(lambda found: len({one.flow_id for one in found}) >= 3)
        if how == "frozen":
            server.process.send_signal(signal.SIGCONT)
        else:
            server.restart()
        assert wait_until(lambda: not trainer.waiting, 20)
        time.sleep(3.0)
        mine(world, 4003)
        found = arrived(world, server.url, 4)
        store = trainer._store
        record = store.run(store.operations.look_up("first"))
    assert pool.requests() == []
    assert grade(found[4000]) == ("bound", "first")
    assert grade(found[4001])[0] in {"stale", "unknown"}
    assert grade(found[4002])[0] in {"stale", "unknown"}
    assert grade(found[4003]) == ("bound", "second")
    assert record is not None
    assert {event.dest_port for event in record.incidents} == {4000}


def test_the_gateways_own_redis_killed_during_an_attack(world: World) -> None:
    """The gateway starts its private server again; bindings and events are all there."""
    pool = world.pool(4000, 4001, 4002, families=(4,))
    url = world.gateway.lineage_url
    with Client(url) as trainer:
        trainer.bind(ip=world.lab.sandboxes[0].ipv4, container="first")
        mine(world, 4000)
        before = own_server(world)
        os.kill(before, signal.SIGKILL)
        mine(world, 4001)
        assert wait_until(lambda: own_server(world) not in {0, before})
        assert wait_until(lambda: not trainer.waiting)
        time.sleep(3.0)
        mine(world, 4002)
        found = arrived(world, url, 3)
    assert pool.requests() == []
    assert grade(found[4000]) == ("bound", "first")
    assert grade(found[4001])[1] == "first"
    assert grade(found[4002]) == ("bound", "first")


def own_server(world: World) -> int:
    """Return the pid of the gateway's redis-server, 0 where there is none just now."""
    address = world.gateway.lineage_url.removeprefix("unix://")
    with socket.socket(socket.AF_UNIX) as asking:
        try:
            asking.connect(address)
        except OSError:
            return 0
        credentials = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[:4], "little")
