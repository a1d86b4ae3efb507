"""Two gateways over one Redis: what one judges mining, both refuse."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.gateway.conftest import Build
from tests.gateway.redisserver import Server
from tests.gateway.world import POOL, World, endpoint, wait_until

from davylamp.cli import main

pytestmark = pytest.mark.lab

PROBE = Path(__file__).with_name("probe.py")


def davylamp(url: str, *words: str) -> str:
    """Run the command; return what it prints."""
    done = CliRunner().invoke(main, words, env={"DAVYLAMP_LINEAGE_URL": url})
    assert done.exit_code == 0, done.output
    return done.stdout


def blocks(url: str) -> dict[str, dict[str, Any]]:
    """Return what ``blocks list --json`` prints, by endpoint."""
    lines = davylamp(url, "blocks", "list", "--json").splitlines()
    return {one["endpoint"]: one for one in map(json.loads, lines)}


def mine(world: World, port: int) -> float:
    """Try to mine once; return when it was reset."""
    done = world.miner("sandbox-1", endpoint(POOL[4], port), attempts=1)
    return float(done.events("reset")[0]["monotonic"])


def refused(world: World, port: int, host: str = "sandbox-2") -> bool:
    """Tell whether the kernel refuses a port of the pool to a sandbox."""
    return world.connects(host, POOL[4], port) == "refused"


def test_a_verdict_on_one_gateway_blocks_on_the_other(build: Build, server: Server) -> None:
    """Within a second; over an outage of Redis; until it is released for all."""
    common = {"lineage": {"redis": server.url}}
    spared = [f"{POOL[6]}/128"]
    share = {"share": True, "share_except": spared}
    one = build(name="one", policy=share, **common)
    two = build(name="two", policy=share, **common)
    for world in (one, two):
        world.pool(4000, 4001, 4002)
    probe = two.service("sandbox-1", "probe", POOL[4], "4000", script=PROBE)
    reset = mine(one, 4000)
    assert wait_until(lambda: probe.events("refused"))
    assert float(probe.events("refused")[0]["monotonic"]) - reset < 1.0
    assert wait_until(lambda: refused(one, 4000))
    assert not refused(two, 4001)

    name = f"tcp/{POOL[4]}:4000"
    assert wait_until(lambda: blocks(server.url)[name]["in_force"] == ["one", "two"])
    told = blocks(server.url)[name]
    assert (told["gateway"], told["incident_id"][:4]) == ("one", "inc-")
    assert 3500 < told["until"] - told["at"] <= 3600
    one.miner("sandbox-1", endpoint(POOL[6], 4002), attempts=1)
    one.gateway.wait_alerts(lambda found: len({alert.flow_id for alert in found}) >= 2)

    server.kill()
    mine(two, 4001)
    assert refused(two, 4001, "sandbox-1")
    assert not refused(one, 4001)
    server.restart()
    # What was judged meanwhile is told when it is back; what was in force went on.
    assert wait_until(lambda: refused(one, 4001), 15)
    assert refused(two, 4000)

    davylamp(server.url, "blocks", "release", name)
    assert wait_until(lambda: not refused(two, 4000) and not refused(one, 4000))
    assert wait_until(lambda: not refused(one, 4000, "sandbox-1"))
    davylamp(server.url, "blocks", "add", f"{POOL[4]}:4000", "--reason", "says ann", "--by", "ann")
    assert wait_until(lambda: refused(one, 4000) and refused(two, 4000))
    assert blocks(server.url).keys() == {name, f"tcp/{POOL[4]}:4001"}
    assert "says ann" in davylamp(server.url, "blocks", "list")
