"""A new gateway takes the place of one that is at work, while sandboxes mine and work."""

import json
import os
import shutil
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.gateway.conftest import Build
from tests.gateway.test_crash import left
from tests.gateway.test_service import Manager, start
from tests.gateway.test_under_load import onslaught, open_pool, outcome, rejected, requests
from tests.gateway.world import POOL, WEB, World, endpoint, wait_until

from davylamp.errors import KernelError
from davylamp.lab.topology import GATEWAY, OUTSIDE
from davylamp.lineage import Client
from davylamp.takeover.taking import find
from davylamp.takeover.words import Here, Word

pytestmark = [pytest.mark.lab, pytest.mark.slow]

_PATIENCE_MS = 1500
"""A restart leaves a gap for as long as a start takes: two seconds, and several under this load."""
_OPENED = 8080


_SQUATTER = """
import sys
from davylamp.capture.nfqueue import NfQueue
queue = NfQueue(42)
print("bound", flush=True)
sys.stdin.read()
"""


def told(world: World, miner: str, port: int) -> str:
    """Have a sandbox try to mine; return who the alert says it was."""
    done = world.miner(miner, endpoint(POOL[4], port), attempts=1)
    assert done.events("reset"), done.lines
    address = next(one.ipv4 for one in world.lab.sandboxes if one.name == miner)
    ends = (address, port)
    world.gateway.wait_alerts(lambda found: ends in {(one.src_ip, one.dest_port) for one in found})
    alerts = world.gateway.alerts()
    lineage = next(one.lineage for one in alerts if (one.src_ip, one.dest_port) == ends)
    return lineage.run_id if lineage is not None else ""


def healthy(world: World) -> bool:
    """Ask the metrics' port, which but one gateway can have, whether all is well."""
    ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9464/healthz').status)"
    done = world.lab.run(GATEWAY, [sys.executable, "-c", ask], capture_output=True, text=True)
    return bool(done.stdout == "200\n")


def gone(pid: int) -> bool:
    """Say whether a process has ended; it may be there still for its parent to look at."""
    try:
        return not Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_takeover_under_load_has_no_gap(build: Build) -> None:
    """Nothing gets through whole, nothing breaks, nobody waits; what was known stays known."""
    if not shutil.which("curl"):
        pytest.skip("needs curl")
    proxies = find_spec("mitmproxy") is not None
    world = build(
        policy={"block_seconds": 1},
        intercept={"enabled": proxies, "ports": [_OPENED]},
        metrics={"listen": "127.0.0.1:9464"},
        api={"listen": "127.0.0.1:9465"},
    )
    received = open_pool(world)
    world.service(OUTSIDE, "web", "--bind", endpoint(WEB[4], _OPENED))
    third = world.lab.sandboxes[2]
    with Client(world.gateway.lineage_url) as trainer:
        trainer.bind(ip=third.ipv4, container="three", run_id="run-3")
    ticks = world.directory / "ticks"
    with ticks.open("wb") as file:
        slow = world.lab.popen(
            "sandbox-3", ["curl", "-sSN", f"http://{WEB[4]}/slow/60"], stdout=file
        )
    ports = {"sandbox-1": 80, "sandbox-2": _OPENED}
    under_way = [onslaught(world, host, 60.0, port) for host, port in ports.items()]
    assert wait_until(lambda: rejected(world) > 10, 20)
    for name, key in (
        ("endpoints4", "203.0.113.99 . tcp . 4444"),
        ("suspects4", f"{third.ipv4} . 203.0.113.99 . 5555 . 6666"),
    ):
        world.nft(f"add element inet davylamp {name} {{ {key} timeout 100s }}")
    assert sorted(world.gateway.workers()) == ["queue-40", "queue-41", "sample-40"]
    assert world.gateway.take_over() == 0
    before, seen = rejected(world), ticks.stat().st_size
    assert wait_until(lambda: rejected(world) > before + 5, 20)
    assert sorted(world.gateway.workers()) == ["queue-42", "queue-43", "sample-41"]
    for one in under_way:
        one.process.send_signal(signal.SIGUSR1)
    counted = [outcome(one) for one in under_way]
    world.directory.joinpath("counted.json").write_text(json.dumps(counted))
    for told_by in counted:
        assert (told_by["answered"], told_by["broken"]) == (0, 0), counted
        assert int(str(told_by["tried"])) > 30, counted
        assert int(str(told_by["pages"])) > 50, counted
        assert int(str(told_by["slowest"])) < _PATIENCE_MS, counted
    if proxies:
        assert world.counter("proxied") > 50
    assert wait_until(lambda: ticks.stat().st_size > seen + 50)
    slow.kill()
    slow.wait()
    assert set(ticks.read_text().split("\n")[:-1]) == {"tick"}
    assert told(world, "sandbox-3", 4001) == "run-3"
    assert requests(received) == []
    kept = world.nft("list", "ruleset")
    assert "203.0.113.99 . tcp . 4444 timeout" in kept
    assert f"{third.ipv4} . 203.0.113.99 . 5555 . 6666 timeout" in kept
    queueing = [rule for rule in world.rules() if "NFQUEUE" in rule]
    assert all("42:43" in rule for rule in queueing), queueing
    assert healthy(world)
    assert world.gateway.stop() == 0
    assert (world.rules(), left(world)) == ([], [])


def test_what_breaks_before_the_swap_leaves_the_old_one_at_work(build: Build) -> None:
    """Nobody is there; a bad configuration; a queue that is taken; a death amid the swap."""
    world = build(start=False)
    world.gateway.start("--take-over")
    assert "nobody to take over from, starting as usual" in world.gateway.log()
    pool = world.pool(3333, families=(4,))
    old = world.gateway.process
    with pytest.raises(KernelError, match="nowhere"):
        world.gateway.take_over("--set", "outputs.file=/nowhere/events")
    squatting = world.lab.popen(
        GATEWAY, [sys.executable, "-c", _SQUATTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert squatting.stdout is not None
    assert squatting.stdout.readline() == b"bound\n"
    with pytest.raises(KernelError, match="another process has it"):
        world.gateway.take_over()
    squatting.communicate(timeout=10)
    half = find(world.gateway.directory / "state" / "run" / "gateway.sock")
    assert half is not None
    half._agreed(Word.SWAP, Word.GO, Here(version="", seat=half.here.seat, layout=half.here.layout))
    world.nft("flush", "chain", "inet", "davylamp", "streams")
    half.close()
    assert wait_until(lambda: "this gateway goes on" in world.gateway.log())
    assert wait_until(lambda: "goto enqueue" in world.nft("list chain inet davylamp streams"))
    told(world, "sandbox-1", 3333)
    assert world.gateway.process is old
    assert sorted(world.gateway.workers()) == ["queue-40", "queue-41", "sample-40"]
    assert pool.requests() == []


def test_systemd_is_told_who_the_service_is_now(build: Build) -> None:
    """On SIGUSR2 a gateway under the unit's restrictions starts a successor and names it."""
    if shutil.which("setpriv") is None or os.geteuid() != 0:
        pytest.skip("needs setpriv and root")
    world = build(start=False)
    world.gateway.directory.mkdir(parents=True)
    world.gateway.config_file.write_text(json.dumps(world.gateway.configuration))
    manager = Manager(world.directory / "notify")
    log = world.directory / "log"
    old = world.gateway.process = start(world, manager, log)
    new = 0
    try:
        assert wait_until(lambda: manager.heard("READY=1\nSTATUS=enforce"), 20), log.read_text()
        old.send_signal(signal.SIGUSR2)
        assert wait_until(lambda: manager.heard("MAINPID="), 40), log.read_text()
        at = next(at for at, one in enumerate(manager.said) if one.startswith("MAINPID="))
        new = int(manager.said[at].partition("=")[2])
        assert old.wait(20) == 0
        assert wait_until(lambda: manager.heard("queues 42 to 43", at), 20), log.read_text()
        heard = len(manager.said)
        assert wait_until(lambda: manager.heard("WATCHDOG=1", heard))
        assert not any("STOPPING" in one for one in manager.said)
        world.pool(3333, families=(4,))
        assert world.miner("sandbox-1", endpoint(POOL[4], 3333), attempts=1).events("reset")
        os.kill(new, signal.SIGTERM)
        assert wait_until(lambda: gone(new))
        assert manager.heard("STOPPING=1", heard)
        assert world.rules() == []
    finally:
        manager.close()
        if new and not gone(new):
            os.kill(new, signal.SIGKILL)
