"""Two gateways over one Redis Cluster: what one judges both refuse, and one dies without harm."""

import os
import signal
from contextlib import ExitStack

import pytest
from tests.attribution.redis_world import ClusterWorld
from tests.gateway.conftest import Build
from tests.gateway.loopback import reachable
from tests.gateway.test_shared_verdicts import PROBE, blocks, mine, refused
from tests.gateway.test_under_load import onslaught, open_pool, outcome, rejected, requests
from tests.gateway.world import POOL, World, wait_until

pytestmark = [pytest.mark.lab, pytest.mark.slow]

_KNOWN, _MOVED, _ALONE = 3990, 3991, 3992


def blocks_within(one: World, two: World, port: int) -> float:
    """Mine behind one gateway; return how long after the verdict the other refuses the port."""
    probe = two.service("sandbox-2", "probe", POOL[4], str(port), script=PROBE)
    reset = mine(one, port)
    assert wait_until(lambda: probe.events("refused"))
    return float(probe.events("refused")[0]["monotonic"]) - reset


def kill_whole(world: World) -> None:
    """Kill a gateway's every process at once."""
    assert world.gateway.process is not None
    workers = world.gateway.workers().values()
    for pid in (world.gateway.process.pid, *workers):
        os.kill(pid, signal.SIGKILL)
    assert world.gateway.process.wait(10) == -signal.SIGKILL


def test_over_a_cluster_one_goes_on_when_the_other_is_killed(
    build: Build, cluster: ClusterWorld
) -> None:
    """A verdict blocks on the other within a second, and soon when its keys are on another node.

    Then the first is killed under load: the second goes on refusing miners and passing pages, and
    telling the Cluster.
    """
    common = {"lineage": {"redis": cluster.url}}
    share = {"share": True, "block_seconds": 600}
    one, two = (build(start=False, name=name, policy=share, **common) for name in ("one", "two"))
    with ExitStack() as stack:
        for world in (one, two):
            stack.enter_context(reachable(world.lab, [each.port for each in cluster.servers]))
            world.gateway.start()
        received = [open_pool(world) for world in (one, two)]
        received += [
            world.pool(_KNOWN, _MOVED, _ALONE, families=(4,)).service.lines for world in (one, two)
        ]
        assert blocks_within(one, two, _KNOWN) < 1.0
        cluster.reshard()
        assert blocks_within(two, one, _MOVED) < 3.0  # both have to find the node first
        known = [f"tcp/{POOL[4]}:{port}" for port in (_KNOWN, _MOVED)]
        assert wait_until(
            lambda: all(blocks(cluster.url)[name]["in_force"] == ["one", "two"] for name in known)
        )

        bereft, going_on = (onslaught(world, "sandbox-1", 60.0) for world in (one, two))
        assert wait_until(lambda: rejected(one) > 5 and rejected(two) > 5, 40)
        kill_whole(one)
        mine(two, _ALONE)
        assert refused(two, _KNOWN)
        assert wait_until(lambda: refused(two, _ALONE, "sandbox-3"))
        assert wait_until(lambda: f"tcp/{POOL[4]}:{_ALONE}" in blocks(cluster.url))
        going_on.process.send_signal(signal.SIGUSR1)
        told = outcome(going_on)
        assert (told["answered"], told["broken"]) == (0, 0), told
        assert told["pages"] > 5, told
        bereft.stop()
        assert two.gateway.stop() == 0
    assert [requests(lines) for lines in received] == [[], [], [], []]
