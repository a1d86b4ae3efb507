"""Who is the sandbox, where the configuration names its bridge alone and ports mislead."""

import sys
from pathlib import Path

import pytest
from tests.gateway import solomining
from tests.gateway.conftest import Build
from tests.gateway.world import POOL, World, endpoint

from davylamp.lab.topology import BRIDGE, OUTSIDE

pytestmark = pytest.mark.lab

HIGHEST = 65535
"""No sandbox's own port is above it, so by ports alone the server opened the connection."""
_RESET = 3
BRIDGE_ALONE = {"interfaces": [BRIDGE]}


@pytest.fixture
def bare(build: Build) -> World:
    """Give a gateway that enforces, and is told of the bridge alone."""
    return build(sandboxes=BRIDGE_ALONE)


@pytest.mark.parametrize("family", [4, 6])
def test_a_miner_is_named_and_blocked_whatever_the_pools_port(bare: World, family: int) -> None:
    """Its alert is the sandbox's, whose next attempt dies in the kernel."""
    bare.pool(HIGHEST, families=[family])
    sandbox = bare.lab.sandboxes[0]
    address = sandbox.ipv4 if family == 4 else sandbox.ipv6
    assert bare.connects("sandbox-1", POOL[family], HIGHEST) == "ok"
    bare.miner("sandbox-1", endpoint(POOL[family], HIGHEST), seconds=2)
    [alert, *_] = bare.gateway.wait_alerts(bool)
    assert (alert.src_ip, alert.dest_ip, alert.dest_port) == (address, POOL[family], HIGHEST)
    assert bare.connects("sandbox-1", POOL[family], HIGHEST) == "refused"


def test_a_node_outside_is_not_taken_for_ones_own(bare: World) -> None:
    """Solo mining outside is refused: the private address is the sandbox's, not the node's."""
    script = Path(solomining.__file__)
    node = bare.service(OUTSIDE, "node", "node", POOL[4], str(HIGHEST), script=script)
    url = f"http://{POOL[4]}:{HIGHEST}"
    words = [sys.executable, str(script), "miner", "bitcoin", url]
    assert bare.lab.run("sandbox-1", words, timeout=20).returncode == _RESET
    assert node.events("request") == []


def test_an_observer_names_the_sandbox_too(build: Build) -> None:
    """So it does where nothing in the kernel says which byte opens a connection."""
    world = build(mode="observe", sandboxes=BRIDGE_ALONE)
    world.pool(HIGHEST, families=[4])
    world.miner("sandbox-1", f"{POOL[4]}:{HIGHEST}", seconds=2)
    [alert, *_] = world.gateway.wait_alerts(bool)
    assert alert.src_ip == world.lab.sandboxes[0].ipv4
