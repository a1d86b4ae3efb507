"""Another program's firewall takes the rules out; the gateway notices and has them back."""

from pathlib import Path

import pytest
from tests.gateway.conftest import Build
from tests.gateway.test_actions import configured, mine
from tests.gateway.test_metrics import health, samples
from tests.gateway.world import POOL, WEB, World, endpoint, wait_until

from davylamp.lab.topology import GATEWAY
from davylamp.lineage import Client

pytestmark = pytest.mark.lab

METRICS = {"listen": "127.0.0.1:9464"}
RESTORED = ("davylamp_rules_restored_total", ())


def is_stopped(world: World, port: int) -> bool:
    """Tell whether a miner that connects now is reset."""
    done = world.miner("sandbox-3", endpoint(POOL[4], port), attempts=1)
    return bool(done.events("reset"))


def test_a_flushed_ruleset_is_put_back(build: Build, tmp_path: Path) -> None:
    """Mining is stopped again, a sandbox in quarantine stays in it, and whoever watches is told."""
    world = build(metrics=METRICS, actions=configured(tmp_path))
    for port in (4000, 4001):
        world.pool(port, families=(4,))
    world.web()
    with Client(world.gateway.lineage_url) as trainer:
        mine(world, trainer, 1)
    assert wait_until(lambda: world.connects("sandbox-1", WEB[4], 80) == "silent")
    before = world.rules()
    world.nft("flush", "ruleset")
    assert wait_until(lambda: samples(world)[RESTORED] == 1)
    assert world.rules() == before
    assert is_stopped(world, 4001)
    assert wait_until(lambda: world.connects("sandbox-1", WEB[4], 80) == "silent")
    assert world.connects("sandbox-2", WEB[4], 80) == "ok"
    assert health(world) == "200 ok"
    assert world.gateway.log().count("somebody else took the rules out") == 1


def test_flushed_queue_rules_are_put_back(build: Build) -> None:
    """Those that iptables has are looked for too, if not as often."""
    world = build(metrics=METRICS)
    world.pool(4000, families=(4,))
    before = world.rules()
    if not any("NFQUEUE" in rule for rule in before):
        pytest.skip("this kernel's nft has a queue statement of its own")
    world.lab.run(GATEWAY, ["iptables", "-w", "-t", "mangle", "-F"], check=True)
    assert wait_until(lambda: samples(world)[RESTORED] == 1, 40)
    assert world.rules() == before
    assert is_stopped(world, 4000)

    assert world.gateway.stop() == 0
    assert world.rules() == []
