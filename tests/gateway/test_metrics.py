"""The metrics of a gateway at work, scraped where it listens."""

import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.gateway.conftest import Build
from tests.gateway.world import POOL, World, endpoint, wait_until

from davylamp.lab.topology import GATEWAY

pytestmark = pytest.mark.lab

URL = "http://127.0.0.1:9464/metrics"
SCRAPE = f"import urllib.request; print(urllib.request.urlopen({URL!r}, timeout=5).read().decode())"


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
    assert found["davylamp_output_written_events_total", ("file",)] > 0
    assert found["davylamp_output_failed_events_total", ("file",)] == 0
    assert not any("10.88." in value for _, values in found for value in values)
