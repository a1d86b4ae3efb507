"""A gateway restarts, or one of two dies, while sandboxes mine and work as fast as they can."""

import shutil
from pathlib import Path

import pytest
from tests.gateway.conftest import Build
from tests.gateway.redisserver import Server
from tests.gateway.world import POOL, WEB, World, wait_until

from davylamp.lab.service import Line, Service

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.programs]

_FIRST, _PORTS = 4000, 24
_SCRIPT = Path(__file__).with_name("onslaught.py")


def onslaught(world: World, host: str, seconds: float, port: int = 80) -> Service:
    """Begin to mine and to work in a sandbox, the latter with a web server's port."""
    url = f"http://{WEB[4]}:{port}/bytes/3000"
    words = (POOL[4], str(_FIRST), str(_PORTS), url, str(seconds))
    return world.service(host, "onslaught", *words, script=_SCRIPT)


def outcome(service: Service) -> Line:
    """Wait for its end and return what it counted."""
    assert service.wait(100) == 0, service.complaint()
    return service.events("summary")[0]


def rejected(world: World) -> int:
    """Return how many flows have been rejected so far."""
    return sum(alert.verdict.action == "reject" for alert in world.gateway.alerts())


def open_pool(world: World) -> list[Line]:
    """Start the pool and the web server; return the requests that the pool has, as they come."""
    pool = world.pool(*range(_FIRST, _FIRST + _PORTS), families=(4,))
    world.web()
    return pool.service.lines


def requests(lines: list[Line]) -> list[Line]:
    """Return the mining requests that a pool received whole."""
    return [line for line in lines if line.get("event") == "request"]


def test_a_restart_under_load_lets_nothing_through_and_breaks_nothing(build: Build) -> None:
    """The rules stay while the old gateway ends and the new one comes: unjudged packets wait.

    No mining request reaches the pool whole, a cleared flow goes on, and honest connections that
    are begun in between come through.
    """
    if not shutil.which("curl"):
        pytest.skip("needs curl")
    world = build(rules={"keep_on_exit": True}, policy={"block_seconds": 1})
    received = open_pool(world)
    ticks = world.directory / "ticks"
    with ticks.open("wb") as file:
        slow = world.lab.popen(
            "sandbox-3", ["curl", "-sSN", f"http://{WEB[4]}/slow/14"], stdout=file
        )
    under_way = [onslaught(world, host, 12.0) for host in ("sandbox-1", "sandbox-2")]
    assert wait_until(lambda: rejected(world) > 10, 20)
    assert world.gateway.stop() == 0
    before = rejected(world)
    world.gateway.start()
    assert wait_until(lambda: rejected(world) > before + 5, 20)
    for one in under_way:
        told = outcome(one)
        assert told["answered"] == 0, told
        assert told["broken"] == 0, one.events("broken")
        assert told["tried"] > 30, told
        assert told["pages"] > 5, told
    assert slow.wait(40) == 0
    assert ticks.read_text() == "tick\n" * 140
    assert requests(received) == []


def test_one_of_two_gateways_is_killed_and_the_other_goes_on(build: Build, server: Server) -> None:
    """Over one Redis: the second stops all that is tried there, while and after the first dies."""
    common = {"lineage": {"redis": server.url}}
    one = build(name="one", policy={"share": True, "block_seconds": 2}, **common)
    two = build(name="two", policy={"share": True, "block_seconds": 2}, **common)
    received = [open_pool(world) for world in (one, two)]
    bereft, going_on = (onslaught(world, "sandbox-1", 8.0) for world in (one, two))
    assert wait_until(lambda: rejected(one) > 5 and rejected(two) > 5, 20)
    one.gateway.kill()
    seen = rejected(two)
    assert wait_until(lambda: rejected(two) > seen + 5, 20)
    told = outcome(going_on)
    assert (told["answered"], told["broken"]) == (0, 0), told
    assert told["pages"] > 5, told
    bereft.stop()
    assert [requests(lines) for lines in received] == [[], []]
