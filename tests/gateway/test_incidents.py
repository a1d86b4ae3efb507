"""A miner stopped, and everything that `davylamp incidents` then says and does about it."""

import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import dpkt
import pytest
from tests.gateway.conftest import Build
from tests.gateway.test_outage import own_server
from tests.gateway.world import POOL, World, endpoint, wait_until

from davylamp.lineage import Client

pytestmark = pytest.mark.lab

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
WALLET = "4" + "7" * 94


def incidents(world: World, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run ``davylamp incidents`` as a person would on the gateway's host."""
    return subprocess.run(
        [sys.executable, "-m", "davylamp", "incidents", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DAVYLAMP_LINEAGE_URL": world.gateway.lineage_url},
    )


def listed(world: World, *words: str) -> list[dict[str, Any]]:
    """Return what ``list --json`` prints."""
    done = incidents(world, "list", "--json", *words)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def mine(world: World, trainer: Client, run: str, sandbox: int) -> None:
    """Let one run's container try to mine for the wallet, in a tool call of its trainer's."""
    ip = world.lab.sandboxes[sandbox - 1].ipv4
    trainer.bind(ip=ip, container=f"box-{run}", run_id=run, experiment_id="exp-4")
    with trainer.tool_call(
        container=f"box-{run}",
        tool="bash",
        tool_call_id=f"call-{run}",
        step=41,
        traceparent=f"00-{TRACE}-{SPAN}-01",
    ):
        done = world.miner(
            f"sandbox-{sandbox}",
            endpoint(POOL[4], 4000),
            attempts=1,
            dialect="cryptonote",
            user=WALLET,
        )
        assert done.events("reset"), done.lines
    trainer.release(container=f"box-{run}")


def test_from_a_blocked_miner_to_the_line_of_the_trace(world: World, tmp_path: Path) -> None:
    """List, show, export, verify and resolve; a second run recurs, over a Redis that was killed."""
    pool = world.pool(4000, families=(4,))
    with Client(world.gateway.lineage_url) as trainer:
        mine(world, trainer, "run-1", 1)
        assert wait_until(lambda: listed(world))
        before = own_server(world)
        os.kill(before, signal.SIGKILL)
        assert wait_until(lambda: own_server(world) not in {0, before})
        mine(world, trainer, "run-2", 2)
        assert wait_until(lambda: len(listed(world)) == 2)
    assert pool.requests() == []
    second, first = listed(world)
    assert (first["who"]["run_id"], second["who"]["run_id"]) == ("run-1", "run-2")
    assert "recurrence" not in first
    assert {one["kind"] for one in second["recurrence"]} == {"wallet", "destination"}
    for again in second["recurrence"]:
        assert (again["times"], again["incidents"], again["runs"]) == (2, [first["id"]], ["run-1"])
    assert (first["severity"], second["severity"]) == ("high", "critical")
    assert WALLET not in json.dumps(listed(world))
    assert [one["id"] for one in listed(world, "--run", "run-2", "--open")] == [second["id"]]
    assert listed(world, "--resolved") == []

    shown = incidents(world, "show", second["id"])
    assert shown.returncode == 0
    for words in (TRACE, SPAN, "call-run-2", "41", "box-run-2", "second time this experiment"):
        assert words in shown.stdout, shown.stdout
    assert "nothing: each packet" in shown.stdout
    assert WALLET not in shown.stdout

    bundle = tmp_path / "bundle.zip"
    made = incidents(world, "export", second["id"], "--output", str(bundle))
    assert made.returncode == 0, made.stderr
    assert "raw bytes" in made.stdout
    assert bundle.stat().st_mode & 0o777 == 0o600
    assert WALLET.encode() in packets(bundle)
    with zipfile.ZipFile(bundle) as opened:
        assert WALLET.encode() not in b"".join(
            opened.read(name) for name in opened.namelist() if not name.endswith(".pcap")
        )
        assert json.loads(opened.read("lineage.json"))["container"] == "box-run-2"
    whole = incidents(world, "verify", str(bundle))
    assert (whole.returncode, whole.stderr) == (0, "")

    changed = tmp_path / "changed.zip"
    edit(bundle, changed, "events.jsonl", b"box-run-2", b"box-run-9")
    told = incidents(world, "verify", str(changed), "--offline", "--json")
    assert told.returncode == 3
    faults = json.loads(told.stdout)["faults"]
    assert "events.jsonl was changed" in faults
    assert "events.jsonl, line 1: not the event that was recorded" in faults

    # The gateway is gone, and its private Redis with it.
    world.gateway.stop()
    assert own_server(world) == 0
    done = incidents(world, "resolve", second["id"], "--note", "removed", "--by", "ada")
    assert done.returncode == 0
    assert [one["id"] for one in listed(world, "--open")] == [first["id"]]
    # The chain grew by the resolution; what was exported before is still what it was.
    assert incidents(world, "verify", str(bundle)).returncode == 0
    assert incidents(world, "show", "inc-none").returncode == 1


def test_an_open_incident_goes_on_after_the_gateway_was_restarted(world: World) -> None:
    """One container's alerts before and after are one incident, found by either id."""
    world.pool(4000, 4001, families=(4,))
    ip = world.lab.sandboxes[0].ipv4
    with Client(world.gateway.lineage_url) as trainer:
        trainer.bind(ip=ip, container="box", run_id="run", experiment_id="exp")
        world.miner("sandbox-1", endpoint(POOL[4], 4000), attempts=1)
        assert wait_until(lambda: listed(world))
        [before] = listed(world)
        world.gateway.stop()
        world.gateway.start()
        world.miner("sandbox-1", endpoint(POOL[4], 4001), attempts=1)
        assert wait_until(lambda: listed(world)[0]["alerts"] > before["alerts"])
    [after] = listed(world)
    assert after["id"] == before["id"]
    assert {one["port"] for one in after["destinations"]} == {4000, 4001}
    ids = {alert.incident_id for alert in world.gateway.alerts()}
    found = [json.loads(incidents(world, "show", one, "--json").stdout)["id"] for one in ids]
    assert set(found) == {before["id"]}


def test_where_policy_only_watches_the_incident_says_what_the_pool_got(
    build: Build, tmp_path: Path
) -> None:
    """Messages went through: that makes it graver; the login is in the packets, byte for byte."""
    world = build(mode="observe")
    world.pool(4000, families=(4,))
    pool = endpoint(POOL[4], 4000)
    world.miner("sandbox-1", pool, dialect="cryptonote", wire="bytewise", user=WALLET, shares=1)
    assert wait_until(lambda: listed(world))
    [incident] = listed(world)
    assert incident["delivered"] > 0
    assert incident["severity"] == "critical"
    assert "went through" in incidents(world, "show", incident["id"]).stdout
    bundle = tmp_path / "bundle.zip"
    assert incidents(world, "export", incident["id"], "--output", str(bundle)).returncode == 0
    # The login came a byte at a time: all but its last byte is rebuilt from the stream.
    assert WALLET.encode() in packets(bundle)


def packets(bundle: Path) -> bytes:
    """Return the TCP payloads in a bundle's capture, as another program reads it."""
    with zipfile.ZipFile(bundle) as opened, opened.open("evidence.pcap") as file:
        found = [dpkt.ip.IP(data) for _, data in dpkt.pcap.Reader(file)]
    assert found
    return b"".join(bytes(packet.data.data) for packet in found)


def edit(bundle: Path, into: Path, name: str, old: bytes, new: bytes) -> None:
    """Write a copy of a bundle in which one file says something else."""
    with zipfile.ZipFile(bundle) as source, zipfile.ZipFile(into, "w") as target:
        for one in source.namelist():
            data = source.read(one)
            target.writestr(one, data.replace(old, new) if one == name else data)
            assert one != name or old in data
