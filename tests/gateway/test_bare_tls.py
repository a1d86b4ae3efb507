"""Mining inside TLS that nobody opens, to a server that no list names, is told by its outside."""

from pathlib import Path

import pytest
from tests.gateway.world import POOL, World

from davylamp.lab.service import Service

pytestmark = pytest.mark.lab

_MINER = Path(__file__).with_name("bareminer.py")


def talk(world: World, word: str) -> Service:
    """Have the client say a word to the pool, and wait for its end."""
    client = Service(world.lab, "sandbox-1", "bareminer", POOL[4], "443", word, script=_MINER)
    assert client.wait(20) == 0, client.lines
    return client


def test_a_login_inside_tls_is_told_by_its_hello_and_sizes(world: World) -> None:
    """It is no proof, so it alerts and lets the miner go on; who it was and how sure is said."""
    world.pool(443)
    client = talk(world, "login")
    assert ["job" in answer["text"] for answer in client.events("answer")] == [True, False]
    [alert] = world.gateway.wait_alerts(bool)
    assert alert.alert.signature_id == "cryptonote-tls-login"
    assert (alert.alert.confidence, alert.verdict.action) == (65, "alert")
    assert alert.tls is not None
    assert alert.tls.ja4.startswith("t13i310900_e8f1e7e78f70_")


def test_the_same_hello_with_something_shorter_is_the_kernels(world: World) -> None:
    """Where sizes rule a login out the flow is judged, and forwarded without us."""
    world.pool(443)
    talk(world, "request")
    assert world.counter("cleared") >= 1
    assert world.gateway.alerts() == []
