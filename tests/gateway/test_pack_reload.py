"""A pack that is published while the gateway runs: taken up, tried, and obeyed, without a loss."""

import functools
import http.server
import os
import signal
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.gateway.conftest import Build
from tests.gateway.intercepting import INTERCEPT, mitmproxies
from tests.gateway.test_crash import left
from tests.gateway.world import POOL, World, wait_until

from davylamp.events import PackEvent
from davylamp.lab.service import Service
from davylamp.lab.topology import OUTSIDE

pytestmark = [pytest.mark.lab, pytest.mark.slow]

MOLE = Path(__file__).with_name("mole.py")
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


def packs(world: World, change: str) -> list[PackEvent]:
    """Return what was said so far of packs that changed so."""
    said = [one for one in world.gateway.events() if isinstance(one, PackEvent)]
    return [one for one in said if one.change == change]


class Site:
    """A repository of the test's own, and a gateway's packs that follow it."""

    def __init__(self, folder: Path, world: World) -> None:
        self.repo, self.keys, self.pack = folder / "repo", folder / "keys", folder / "pack"
        self.vectors = folder / "vectors"
        self.config = world.gateway.config_file
        self.pack.mkdir(parents=True)
        (self.pack / "pack.yaml").write_text("name: core\nversion: 2026.11.28\nformat: 1\n")
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

    def teach(
        self, signature: str = SIGNATURE, vector: str = VECTOR, name: str = "moleminer-dig"
    ) -> None:
        """Add a signature to the pack; by default the made-up protocol's."""
        for folder, text in ((self.pack, signature), (self.vectors, vector)):
            (folder / "mole").mkdir(parents=True, exist_ok=True)
            (folder / "mole" / f"{name}.yaml").write_text(text)


LISTED = (
    SIGNATURE[: SIGNATURE.index("when:")]
    .replace("moleminer-dig", "moleminer-burrow")
    .replace("maturity: stable", "maturity: incubating")
    + "when:\n  endpoint: {list: burrows}\n"
)
BURROWS = f"{POOL[4]}\t3333\ttcp\tconfirmed\t-\tmole\tmade up\t2026-11-01\t2027-10-30\n"
LISTED_VECTOR = f"""\
- name: where moles dig
  source: made up
  stream: [{{endpoint: {{to: "{POOL[4]}:3333", on: 2026-11-28}}}}, {{client: hello}}]
  expect: match
- name: another port
  source: made up
  stream: [{{endpoint: {{to: "{POOL[4]}:3334", on: 2026-11-28}}}}, {{client: hello}}]
  expect: none
"""
DIG = '{"id": 1, "method": "mole.dig", "params": ["burrow", "deadbeef"]}'
SHARE = (
    '{"id": 4, "method": "mining.submit", "params": '
    '["farm.rig7", "4f", "00000000", "5e8f3a10", "1a2b3c4d"]}'
)
BENIGN = '{"id": 2, "method": "tools/list"}'
PLAIN, OPENED = "7777", "3333"
"""A port that the queue workers judge, and one that is led to mitmproxy workers."""


def say(world: World, host: str, line: str, *file: str, port: str = PLAIN) -> Service:
    """Send a line to the echo server from a sandbox."""
    return world.service(host, "say", "say", POOL[4], port, line, *file, script=MOLE)


def outcome(service: Service) -> str:
    """Return how a line went."""
    service.wait(20)
    return str(service.events("done")[0]["outcome"])


def echoing(build: Build, *, intercept: dict[str, object], **pack: object) -> World:
    """Build a gateway, and echo servers behind it."""
    world = build(intercept=intercept, pack=pack)
    for port in (PLAIN, OPENED):
        world.service(OUTSIDE, "server", "server", POOL[4], port, script=MOLE)
    return world


def test_a_published_pack_is_taken_up_while_flows_run(build: Build, tmp_path: Path) -> None:
    """The new dialect is blocked then, flows in progress keep the old pack, and none is lost."""
    pack = {"shadow_flows": 9999, "shadow_seconds": 4}
    world = echoing(build, intercept=INTERCEPT | {"workers": 1}, **pack)
    site = Site(tmp_path / "site", world)
    site.teach()
    site.teach(LISTED, LISTED_VECTOR, "moleminer-burrow")
    (site.pack / "lists").mkdir()
    (site.pack / "lists" / "burrows.tsv").write_text(BURROWS)
    site.publish(2)
    before = mitmproxies(world)
    assert outcome(say(world, "sandbox-1", DIG)) == "echoed"
    assert outcome(say(world, "sandbox-1", DIG, port=OPENED)) == "echoed"
    go = tmp_path / "go"
    mole = say(world, "sandbox-1", DIG, str(go))
    share = say(world, "sandbox-2", SHARE, str(go))
    assert wait_until(lambda: mole.events("half") and share.events("half"))
    load = world.service("sandbox-3", "load", "load", POOL[4], PLAIN, script=MOLE)
    # What is led to the mitmproxy worker nobody else sees.
    digs = world.service("sandbox-3", "digs", "load", POOL[4], OPENED, DIG, script=MOLE)
    with served(site.repo) as url:
        done = site.update(url)
    digs.stop()
    assert done.returncode == 0, done.stderr + world.gateway.log()
    for words in ("tried on ", "moleminer-dig on ", "moleminer-burrow on "):
        assert words in done.stdout
    (switched,) = packs(world, "switched")
    assert switched.number == 2
    assert switched.pause_seconds < 0.05
    go.touch()
    assert outcome(mole) == "echoed", "a flow in progress keeps the pack it began with"
    assert outcome(share) == "reset", "and is judged by it to its end"
    assert outcome(say(world, "sandbox-1", DIG, port=OPENED)) == "reset"
    assert outcome(say(world, "sandbox-1", DIG)) == "reset"
    assert mitmproxies(world) == before, "a worker did not follow"
    load.stop()
    summary = load.events("summary")[0]
    assert set(summary["results"]) == {"echoed"}, summary
    assert summary["longest"] < 1.0
    counters = world.gateway.counters()
    lost = ("queue_dropped", "queue_overruns", "exceptions", "sample_overruns")
    assert {name: counters[name] for name in lost} == dict.fromkeys(lost, 0)
    others = world.lab.host("sandbox-3").ipv4
    alerts = world.gateway.wait_alerts(
        lambda found: len([one for one in found if one.src_ip != others]) == 4
    )
    found = sorted(
        (one.alert.signature_id, one.pack, one.dest_port) for one in alerts if one.src_ip != others
    )
    assert found == [
        ("moleminer-burrow", "2026.11.28", 3333),
        ("moleminer-dig", "2026.11.28", 3333),
        ("moleminer-dig", "2026.11.28", 7777),
        ("stratum-v1-submit", "2026.11.29", 7777),
    ]


def test_a_pack_that_accuses_sandboxes_of_honest_work_is_given_back(
    build: Build, tmp_path: Path
) -> None:
    """Local signatures are read again at SIGHUP, or refused; a bad pack goes by itself."""
    world = echoing(build, intercept={}, shadow_flows=0, return_sandboxes=2, watch_seconds=60)
    site = Site(tmp_path / "site", world)
    local = world.gateway.directory / "state" / "packs" / "local" / "mine"
    local.mkdir(parents=True)
    (local / "moleminer-dig.yaml").write_text(
        SIGNATURE.replace("mole.dig", "mole.dug").replace("rev", "rv")
    )
    process = world.gateway.process
    assert process is not None
    process.send_signal(signal.SIGHUP)
    assert wait_until(lambda: packs(world, "refused"))
    assert "moleminer-dig.yaml:2:1: unknown field 'rv'" in packs(world, "refused")[0].reason
    (local / "moleminer-dig.yaml").write_text(SIGNATURE)
    process.send_signal(signal.SIGHUP)
    assert wait_until(lambda: packs(world, "switched"))
    assert packs(world, "switched")[0].version.endswith("+local")
    assert outcome(say(world, "sandbox-1", DIG)) == "reset"
    world.forgive()
    site.teach(
        SIGNATURE.replace("moleminer-dig", "too-wide")
        .replace("mole.dig", "tools/list")
        .replace('members: {params: ["string:1-", "hex:8"]}', "members: {id: integer}"),
        VECTOR.replace("mole.dig", "tools/list"),
        "too-wide",
    )
    site.publish(3)
    done = site.update(str(site.repo))
    assert done.returncode == 0, done.stderr + world.gateway.log()
    for host in ("sandbox-1", "sandbox-2"):
        assert outcome(say(world, host, BENIGN)) == "reset"
    assert wait_until(lambda: packs(world, "returned"))
    assert "its new signatures alert on 2 sandboxes" in packs(world, "returned")[0].reason
    assert wait_until(lambda: len(packs(world, "switched")) == 3)
    world.forgive()
    assert outcome(say(world, "sandbox-1", BENIGN)) == "echoed"
    assert outcome(say(world, "sandbox-1", DIG)) == "reset", "what the site wrote is still there"
    again = site.update(str(site.repo))
    assert (again.returncode, "was returned from" in again.stderr) == (2, True)
    world.gateway.kill()
    assert wait_until(lambda: left(world) == []), left(world)
    world.gateway.start()
    assert wait_until(lambda: len(packs(world, "in-force")) == 2)
    first, second = packs(world, "in-force")
    assert (second.pack, second.number) == (first.pack, first.number), "what was returned to"
    world.forgive()
    assert outcome(say(world, "sandbox-1", DIG)) == "reset"


def test_a_worker_that_dies_while_the_sites_own_are_edited_comes_back(build: Build) -> None:
    """With what was in force: a file that is half written is nobody's before it is read again."""
    world = echoing(build, intercept=INTERCEPT | {"workers": 1})
    local = world.gateway.directory / "state" / "packs" / "local" / "mine"
    local.mkdir(parents=True)
    own = local / "moleminer-dig.yaml"
    own.write_text(SIGNATURE)
    process = world.gateway.process
    assert process is not None
    process.send_signal(signal.SIGHUP)
    assert wait_until(lambda: packs(world, "switched"))
    own.write_text(SIGNATURE[:40])
    before = world.gateway.workers(), mitmproxies(world)
    for pid in (*before[0].values(), *before[1]):
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not set(before[0].values()) & set(world.gateway.workers().values()))
    assert wait_until(lambda: mitmproxies(world) and not set(before[1]) & set(mitmproxies(world)))
    assert wait_until(lambda: said(world, DIG, PLAIN) == "reset"), world.gateway.log()
    assert wait_until(lambda: said(world, BENIGN, OPENED) == "echoed"), world.gateway.log()
    assert "begun without the site's own signatures" in world.gateway.log()


def said(world: World, line: str, port: str) -> str:
    """Return how a line went, or nothing where it could not be said."""
    world.forgive()
    service = say(world, "sandbox-1", line, port=port)
    service.wait(20)
    return str(next((one["outcome"] for one in service.events("done")), ""))
