"""The gateway dies, or a part of it, while traffic runs; and what is left when it has ended."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import Traces
from tests.gateway.conftest import Build
from tests.gateway.world import POOL, WEB, World, endpoint, wait_until

from davylamp.lab.service import Service
from davylamp.lab.topology import OUTSIDE

pytestmark = pytest.mark.lab

_SLOW_LINK = ("root", "tbf", "rate", "200mbit", "burst", "64k", "latency", "50ms")


def fetch(world: World, host: str) -> bool:
    """Fetch a small file on a connection of its own; say whether it came within two seconds."""
    if not shutil.which("curl"):
        pytest.skip("needs curl")
    url = f"http://{WEB[4]}/bytes/1000"
    done = world.lab.run(host, ["curl", "-s", "-o", "/dev/null", "-m", "2", url])
    return done.returncode == 0


def left(world: World) -> list[str]:
    """Return the lab's processes that are the gateway's."""
    found = []
    for pid in world.lab._directory.processes():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it has just ended
            continue
        if "davylamp gateway" in words or "davylamp.workers" in words or "redis-server" in words:
            found.append(words)
    return found


@pytest.mark.programs
def test_killed_it_fails_closed_and_picks_up_again(world: World) -> None:
    """Unjudged bytes stop, cleared flows go on; a restart disturbs none and keeps the blocks."""
    pool = world.pool(3333, families=(4,))
    world.web()
    world.lab.run(OUTSIDE, ["tc", "qdisc", "add", "dev", "eth0", *_SLOW_LINK], check=True)
    large = Service(
        world.lab, "sandbox-2", "client", "download", f"http://{WEB[4]}/bytes/200000000"
    )
    ticks = world.directory / "ticks"
    url = f"http://{WEB[4]}/slow/12"
    with ticks.open("wb") as file:
        slow = world.lab.popen("sandbox-3", ["curl", "-sSN", url], stdout=file)
    assert world.miner("sandbox-1", endpoint(POOL[4], 3333), attempts=1).events("reset")
    world.gateway.wait_alerts(bool)
    assert wait_until(lambda: ticks.stat().st_size > 20)
    world.gateway.kill()
    assert wait_until(lambda: left(world) == []), left(world)
    seen = ticks.stat().st_size
    assert not fetch(world, "sandbox-1")
    assert ticks.stat().st_size > seen + 20, "a cleared flow stopped"
    world.gateway.start()
    assert fetch(world, "sandbox-1")
    assert large.wait(40) == 0, large.lines
    assert large.events("downloaded")[0]["intact"]
    assert slow.wait(30) == 0
    assert ticks.read_text() == "tick\n" * 120
    again = world.miner("sandbox-1", endpoint(POOL[4], 3333), attempts=1)
    assert again.events("refused"), again.lines
    assert pool.requests() == []
    assert {alert.dest_port for alert in world.gateway.alerts()} == {3333}


def test_killed_it_fails_open_where_told_to(build: Build) -> None:
    """Under fail-open everything passes while nobody judges, and is judged again afterwards."""
    world = build(exception_policy="fail-open")
    pool = world.pool(3333, families=(4,))
    world.web()
    world.gateway.kill()
    assert wait_until(lambda: left(world) == []), left(world)
    assert fetch(world, "sandbox-1")
    done = world.miner("sandbox-1", endpoint(POOL[4], 3333), attempts=1, shares=1)
    assert done.process.returncode == 0, done.lines
    through = len(pool.requests())
    assert through >= 3
    world.gateway.start()
    done = world.miner("sandbox-1", endpoint(POOL[4], 3333), attempts=1)
    assert done.events("reset"), done.lines
    assert len(pool.requests()) == through


def test_a_worker_that_is_killed_is_started_again(world: World) -> None:
    """With each worker killed once, the next miner is caught and the next page delivered."""
    pool = world.pool(3333, families=(4,))
    world.web()
    before = world.gateway.workers()
    assert sorted(before) == ["queue-40", "queue-41", "sample-40"]
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    assert wait_until(
        lambda: len(set(world.gateway.workers().values()) - set(before.values())) == 3
    )
    assert wait_until(lambda: fetch(world, "sandbox-1"), 20)
    for host in world.lab.sandboxes:
        done = world.miner(host.name, endpoint(POOL[4], 3333), attempts=1)
        assert done.events("reset"), done.lines
    assert pool.requests() == []
    world.gateway.wait_alerts(lambda found: len({alert.src_ip for alert in found}) == 3)
    assert {alert.src_ip for alert in world.gateway.alerts()} == {
        host.ipv4 for host in world.lab.sandboxes
    }
    assert "sample-40 ended" in world.gateway.log()


def test_nothing_is_left_after_an_orderly_end(
    world: World, note_lab: Callable[[Path], Traces]
) -> None:
    """Told to end, the gateway leaves no rule and no process; the lab then leaves nothing."""
    world.pool(3333, families=(4,))
    world.miner("sandbox-1", endpoint(POOL[4], 3333), attempts=1)
    assert world.rules()
    assert left(world)
    assert world.gateway.stop() == 0
    assert world.rules() == []
    assert left(world) == []
    traces = note_lab(world.lab.directory)
    world.stop()
    world.lab.down()
    assert traces.left() == []


def test_rules_stay_where_told_to_until_the_next_start(build: Build) -> None:
    """With keep_on_exit the rules go on failing closed, and a later start replaces them."""
    world = build(rules={"keep_on_exit": True})
    world.web()
    assert world.gateway.stop() == 0
    assert world.rules()
    assert not fetch(world, "sandbox-1")
    world.gateway.configuration["rules"] = {}
    world.gateway.start()
    assert fetch(world, "sandbox-1")
    assert world.gateway.stop() == 0
    assert world.rules() == []
    assert fetch(world, "sandbox-1")


def test_a_killed_gateway_is_gone_with_its_lab(
    world: World, note_lab: Callable[[Path], Traces]
) -> None:
    """Killed outright and never started again, all it left goes with the lab."""
    traces = note_lab(world.lab.directory)
    world.gateway.kill()
    assert world.rules()
    world.lab.down()
    traces.wait_gone()


def test_a_terminal_that_ends_ends_the_gateway(world: World) -> None:
    """Ctrl-C, which reaches the workers as well, ends everything in good order."""
    assert world.gateway.process is not None
    world.gateway.process.send_signal(signal.SIGINT)
    for pid in world.gateway.workers().values():
        os.kill(pid, signal.SIGINT)
    try:
        assert world.gateway.process.wait(10) == 0
    except subprocess.TimeoutExpired:
        pytest.fail(world.gateway.log())
    assert world.rules() == []
    assert left(world) == []
