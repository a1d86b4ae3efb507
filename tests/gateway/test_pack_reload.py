"""A pack that is published while the gateway runs: taken up, tried, and obeyed, without a loss."""

import functools
import http.server
import shutil
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.gateway.conftest import Build
from tests.gateway.world import POOL, World, wait_until

from davylamp.events import PackEvent
from davylamp.lab.service import Service
from davylamp.lab.topology import OUTSIDE
from davylamp.paths import SIGNATURES

pytestmark = [pytest.mark.lab, pytest.mark.slow]

MOLE = Path(__file__).with_name("mole.py")
VECTORS = Path(__file__).parents[1] / "signatures" / "core"
SIGNATURE = """\
id: moleminer-dig
rev: 1
title: Moleminer dig
category: mining
dialect: moleminer
role: miner
kind: share
confidence: 95
severity: 1
maturity: stable
references: [https://example.org/moleminer]
detail: a made-up protocol's share
when:
  json:
    method: mole.dig
    members: {params: ["string:1-", "hex:8"]}
"""
VECTOR = """\
- name: a dig
  source: made up
  stream:
    - client: |
        {"id": 1, "method": "mole.dig", "params": ["burrow", "deadbeef"]}
  expect: match
- name: another tool's method
  source: made up
  stream:
    - client: |
        {"id": 1, "method": "mole.dug", "params": ["burrow", "deadbeef"]}
  expect: none
"""


def davylamp(*words: object) -> subprocess.CompletedProcess[str]:
    """Run a subcommand of pack; return how it ended."""
    return subprocess.run(
        [sys.executable, "-m", "davylamp", "pack", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder over HTTP on loopback; yield its URL."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def packs(world: World) -> list[PackEvent]:
    """Return what was said of packs so far."""
    return [one for one in world.gateway.events() if isinstance(one, PackEvent)]


class Site:
    """A repository of the test's own, and a gateway's packs that follow it."""

    def __init__(self, folder: Path, world: World) -> None:
        self.repo, self.keys, self.pack = folder / "repo", folder / "keys", folder / "pack"
        self.vectors = folder / "vectors"
        self.config = world.gateway.config_file
        shutil.copytree(SIGNATURES / "core", self.pack)
        shutil.copytree(VECTORS, self.vectors)
        made = davylamp("repo", "init", self.repo, "--keys", self.keys)
        assert made.returncode == 0, made.stderr

    def publish(self, number: int) -> None:
        """Publish the pack as it is now."""
        keys = [self.keys / f"{name}.pem" for name in ("targets-1", "snapshot", "timestamp")]
        words = [word for key in keys for word in ("--key", key)]
        done = davylamp(
            *("repo", "publish", self.repo, self.pack, "--vectors", self.vectors),
            *("--number", number, *words),
        )
        assert done.returncode == 0, done.stderr

    def update(self, url: str, *words: object) -> subprocess.CompletedProcess[str]:
        """Have the gateway follow."""
        root = self.repo / "metadata" / "1.root.json"
        return davylamp("update", "--config", self.config, "--from", url, "--root", root, *words)

    def teach(self, signature: str = SIGNATURE, vector: str = VECTOR) -> None:
        """Add the made-up protocol's signature to the pack."""
        for folder, text in ((self.pack, signature), (self.vectors, vector)):
            (folder / "mole").mkdir(exist_ok=True)
            (folder / "mole" / "moleminer-dig.yaml").write_text(text)


DIG = '{"id": 1, "method": "mole.dig", "params": ["burrow", "deadbeef"]}'
SHARE = (
    '{"id": 4, "method": "mining.submit", "params": '
    '["farm.rig7", "4f", "00000000", "5e8f3a10", "1a2b3c4d"]}'
)
PORT = 7777


def say(world: World, host: str, line: str, *file: str) -> Service:
    """Send a line to the echo server from a sandbox."""
    return world.service(host, "say", "say", POOL[4], str(PORT), line, *file, script=MOLE)


def outcome(service: Service) -> str:
    """Return how a line went."""
    service.wait(20)
    return str(service.events("done")[0]["outcome"])


def test_a_published_pack_is_taken_up_while_flows_run(build: Build, tmp_path: Path) -> None:
    """The new dialect is blocked from then on, flows in progress keep the old pack, none is lost.

    A pack that the gateway cannot use changes nothing.
    """
    world = build(pack={"shadow_flows": 40, "shadow_seconds": 10})
    world.service(OUTSIDE, "server", "server", POOL[4], str(PORT), script=MOLE)
    site = Site(tmp_path / "site", world)
    site.teach()
    site.publish(2)
    assert outcome(say(world, "sandbox-1", DIG)) == "echoed"
    go = tmp_path / "go"
    mole = say(world, "sandbox-1", DIG, str(go))
    share = say(world, "sandbox-2", SHARE, str(go))
    assert wait_until(lambda: mole.events("half") and share.events("half"))
    load = world.service("sandbox-3", "load", "load", POOL[4], str(PORT), script=MOLE)
    with served(site.repo) as url:
        done = site.update(url)
    assert done.returncode == 0, done.stderr + world.gateway.log()
    assert "tried on " in done.stdout
    switched = [one for one in packs(world) if one.change == "switched"]
    assert [one.number for one in switched] == [2]
    assert switched[0].pause_seconds < 0.05
    go.touch()
    assert outcome(mole) == "echoed", "a flow in progress keeps the pack it began with"
    assert outcome(share) == "reset", "and is judged by it to its end"
    assert outcome(say(world, "sandbox-1", DIG)) == "reset"
    load.stop()
    summary = load.events("summary")[0]
    assert set(summary["results"]) == {"echoed"}, summary
    assert summary["longest"] < 1.0
    counters = world.gateway.counters()
    lost = ("queue_dropped", "queue_overruns", "exceptions", "sample_overruns")
    assert {name: counters[name] for name in lost} == dict.fromkeys(lost, 0)
    alerts = world.gateway.wait_alerts(
        lambda found: any(one.alert.signature_id == "moleminer-dig" for one in found)
    )
    versions = {one.alert.signature_id: one.pack for one in alerts}
    assert versions["moleminer-dig"] == versions["stratum-v1-submit"] == "2026.11.23"
