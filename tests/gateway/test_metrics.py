"""The metrics of a gateway at work, scraped where it listens."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.gateway.conftest import Build
from tests.gateway.world import POOL, World, endpoint, wait_until

from davylamp.lab.topology import BRIDGE, GATEWAY

pytestmark = pytest.mark.lab

URL = "http://127.0.0.1:9464/metrics"
SCRAPE = f"import urllib.request; print(urllib.request.urlopen({URL!r}, timeout=5).read().decode())"

HEALTH = """
import urllib.error, urllib.request
try: answer = urllib.request.urlopen("http://127.0.0.1:9464/healthz", timeout=5)
except urllib.error.HTTPError as error: answer = error
print(answer.status, answer.read().decode())
"""


def samples(world: World) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return each sample of a scrape in the gateway's host, by name and label values."""
    done = world.lab.run(
        GATEWAY, [sys.executable, "-c", SCRAPE], capture_output=True, text=True, check=True
    )
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(str(done.stdout))
        for sample in family.samples
    }


def health(world: World) -> str:
    """Return what /healthz answers in the gateway's host."""
    ask = [sys.executable, "-c", HEALTH]
    return str(world.lab.run(GATEWAY, ask, capture_output=True, text=True).stdout).strip()


def test_a_stopped_miner_is_counted(build: Build) -> None:
    """An alert, its worker's packets and the outputs that took it show in the next scrape."""
    world = build(metrics={"listen": "127.0.0.1:9464"})
    world.pool(3333, families=(4,))
    world.miner("sandbox-1", endpoint(POOL[4], 3333), dialect="cryptonote", attempts=1)
    world.gateway.wait_alerts(bool)
    alert = ("davylamp_alerts_total", ("reject", "mining", "cryptonote-login"))
    assert wait_until(lambda: samples(world).get(alert) == 1)
    workers = ("queue-40", "queue-41")

    def inspected() -> bool:
        found = samples(world)
        return sum(found.get(("davylamp_packets_total", (one,)), 0) for one in workers) > 0

    assert wait_until(inspected)
    found = samples(world)
    assert found["davylamp_worker_up", ("queue-40",)] == 1
    assert found["davylamp_queue_limit_packets", ("41",)] == 8192
    assert found["davylamp_queue_dropped_packets_total", ("queue", "40")] == 0
    assert found["davylamp_lineage_connected", ()] == 1
    assert time.time() - found["davylamp_lineage_fresh_timestamp_seconds", ()] < 60
    assert time.time() - found["davylamp_rules_applied_timestamp_seconds", ()] < 60
    assert found["davylamp_spool_limit_bytes", ("redis",)] == 64 * 1024 * 1024
    assert found["davylamp_spool_dropped_events_total", ("redis",)] == 0
    assert health(world) == "200 ok"
    worker = world.gateway.workers()["queue-40"]
    os.kill(worker, signal.SIGKILL)
    assert wait_until(lambda: samples(world)["davylamp_worker_restarts_total", ("queue-40",)] == 1)
    assert wait_until(lambda: health(world) == "200 ok")
    assert found["davylamp_output_written_events_total", ("file",)] > 0
    assert found["davylamp_output_failed_events_total", ("file",)] == 0
    assert not any("10.88." in value for _, values in found for value in values)


def test_what_is_wrong_around_a_gateway_is_said(build: Build, tmp_path: Path) -> None:
    """A bridge that is not there and a receiver that is away show in health, which stays 200."""
    world = build(
        metrics={"listen": "127.0.0.1:9464"},
        sandboxes={"interfaces": [BRIDGE, "br-typo"]},
        outputs={"syslog": {"address": f"unix://{tmp_path}/nobody"}},
        pack={"local": f"{tmp_path}/share"},
    )
    bridge = "there is no interface br-typo here: nothing of it is judged"
    assert wait_until(lambda: f"WARNING: {bridge}" in world.gateway.log())
    away = f"syslog at {tmp_path}/nobody is away: No such file or directory"
    share = f"{tmp_path}/share is no folder: the site's own signatures are not in force"
    assert wait_until(lambda: health(world) == f"200 ok\n{bridge}\n{share}\n{away}")
    (tmp_path / "share").mkdir()
    link = ["ip", "link", "add", "br-typo", "type", "bridge"]
    world.lab.run(GATEWAY, link, check=True)
    assert health(world) == f"200 ok\n{away}"
