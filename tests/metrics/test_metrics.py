"""Metrics as Prometheus reads them, scraped over a real socket."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import datetime

import aiohttp
import msgspec
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from tests.metrics.samples import WHEN, book, full_book, stats, tls

from davylamp.config import parse_config
from davylamp.errors import ConfigError
from davylamp.events import AlertEvent, AnyEvent, LineageEvent, LineageInfo, PackEvent
from davylamp.gateway import Gateway
from davylamp.metrics.book import MAX_SIGNATURES, MAX_WORKERS, MetricsBook
from davylamp.metrics.server import CONTENT_TYPE, parse_listen, serving
from davylamp.outputs.fanout import FanOut

MakeAlert = Callable[..., AlertEvent]


def scraped(made: MetricsBook) -> dict[str, Metric]:
    """Return the metric families that a scrape over HTTP gives, by name."""

    async def scenario() -> str:
        async with (
            serving("127.0.0.1:0", made.exposition) as port,
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}/metrics") as answer,
        ):
            assert answer.status == 200
            assert answer.headers["Content-Type"] == CONTENT_TYPE
            return await answer.text()

    text = asyncio.run(scenario())
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(families: dict[str, Metric], name: str, **labels: str) -> float:
    """Return the one sample of that name and labels."""
    [found] = [
        sample.value
        for family in families.values()
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    return found


def test_what_is_published_is_counted(make_alert: MakeAlert) -> None:
    """A scrape shows alerts, TLS, lineage, the workers' newest stats, and how the outputs are."""
    lineage = LineageEvent(timestamp=WHEN, change="bound", lineage=LineageInfo(grade="bound"))
    families = scraped(
        book(
            make_alert(),
            make_alert(address="10.0.0.3"),
            tls(refusal="alert 48"),
            tls(diversion="untrusted"),
            tls(diversion="untrusted"),
            lineage,
            stats(packets=10),
            stats(packets=30),
            stats("sample-40"),
        )
    )
    labels = {"action": "reject", "category": "mining", "signature": "cryptonote-login"}
    assert value(families, "davylamp_alerts_total", **labels) == 2
    assert value(families, "davylamp_tls_events_total", kind="refusal") == 1
    assert value(families, "davylamp_tls_events_total", kind="diversion") == 2
    assert value(families, "davylamp_lineage_events_total") == 1
    assert value(families, "davylamp_packets_total", worker="queue-40") == 30
    assert value(families, "davylamp_packets_total", worker="sample-40") == 10
    assert value(families, "davylamp_inspected_bytes_total", worker="queue-40") == 2000
    assert value(families, "davylamp_worker_uptime_seconds", worker="queue-40") == 12.5
    assert value(families, "davylamp_worker_events_total", worker="queue-40", event="cleared") == 2
    assert value(families, "davylamp_output_written_events_total", output="file") == 5
    assert value(families, "davylamp_output_dropped_events_total", output="file") == 1
    assert value(families, "davylamp_output_waiting_events", output="file") == 7


def test_how_the_gateway_is_shows_at_each_scrape() -> None:
    """Workers, queues, lineage, rules and spools are told as they are when asked."""
    families = scraped(full_book())
    assert value(families, "davylamp_worker_up", worker="queue-40") == 1
    assert value(families, "davylamp_worker_restarts_total", worker="queue-40") == 2
    assert value(families, "davylamp_queue_waiting_packets", queue="40") == 3
    assert value(families, "davylamp_queue_limit_packets", queue="40") == 8192
    dropped = "davylamp_queue_dropped_packets_total"
    assert value(families, dropped, queue="40", full="queue") == 4
    assert value(families, dropped, queue="40", full="buffer") == 5
    assert value(families, "davylamp_lineage_connected") == 1
    assert value(families, "davylamp_lineage_fresh_timestamp_seconds") == 1_700_000_000.5
    assert value(families, "davylamp_rules_applied_timestamp_seconds") == 1_700_000_001.5
    assert value(families, "davylamp_connections_total", seen="originator") == 6
    assert value(families, "davylamp_mode", mode="enforce") == 1
    assert value(families, "davylamp_spool_waiting_events", output="redis") == 8
    assert value(families, "davylamp_spool_dropped_events_total", output="redis") == 2
    assert value(families, "davylamp_spool_refused_events_total", output="redis") == 3
    assert value(families, "davylamp_spool_bytes", output="redis") == 900
    assert value(families, "davylamp_spool_limit_bytes", output="redis") == 1000


def test_the_rules_age_and_expiry_are_told() -> None:
    """By the pack that was put in force last, at the time of the scrape."""
    old = PackEvent(timestamp=WHEN, change="in-force", pack="core", version="1", created=WHEN)
    new = msgspec.structs.replace(old, change="switched", version="2", expires=WHEN)
    families = scraped(book(old))
    assert "davylamp_rules_expired" not in families
    families = scraped(book(old, new, msgspec.structs.replace(old, change="refused")))
    made = datetime.fromisoformat(WHEN).timestamp()
    assert value(families, "davylamp_rules_age_seconds") == pytest.approx(
        time.time() - made, abs=60
    )
    assert value(families, "davylamp_rules_expired") == 1
    assert value(families, "davylamp_pack_changes_total", change="refused") == 1


def test_every_family_says_what_it_is() -> None:
    """Each family has help and a type, counters end in _total, and all names are ours."""
    families = scraped(full_book())
    for family in families.values():
        assert family.documentation.endswith((".", ")."))
        assert family.type in {"counter", "gauge"}
        assert family.name.startswith("davylamp_")
        if family.type == "counter":
            assert all(sample.name.endswith(("_total", "_created")) for sample in family.samples)


def test_labels_are_bounded_whatever_is_seen(make_alert: MakeAlert) -> None:
    """Addresses make no series; signatures and workers beyond the bound share one, or have none."""
    made = book()
    for number in range(MAX_SIGNATURES + 50):
        made.count(make_alert(f"s-{number}", f"10.0.{number // 250}.{number % 250}"))
    for number in range(MAX_WORKERS + 50):
        made.count(stats(f"queue-{number}"))
    families = scraped(made)
    totals = [s for s in families["davylamp_alerts"].samples if s.name.endswith("_total")]
    assert len(totals) == MAX_SIGNATURES + 1
    labels = {"action": "reject", "category": "mining", "signature": "other"}
    assert value(families, "davylamp_alerts_total", **labels) == 50
    assert len(families["davylamp_packets"].samples) == MAX_WORKERS
    names = {label for family in families.values() for s in family.samples for label in s.labels}
    assert names == {
        "action",
        "category",
        "signature",
        "worker",
        "event",
        "output",
        "version",
    }


def test_a_real_fanouts_counters_are_read(make_alert: MakeAlert) -> None:
    """What the fan-out counts of each sink is what the outputs' series say."""

    class Sink:
        async def write(self, event: AnyEvent) -> None:
            """Refuse it."""
            raise OSError(f"no room for {event.timestamp}")

        async def close(self) -> None:
            """Do nothing."""

    async def scenario() -> bytes:
        fanout = FanOut({"file": Sink()})
        fanout.publish(make_alert())
        await fanout.close()
        return MetricsBook(fanout.counters).exposition()

    text = asyncio.run(scenario()).decode()
    assert 'davylamp_output_failed_events_total{output="file"} 1.0' in text


@pytest.mark.programs
def test_promtool_finds_no_fault() -> None:
    """Prometheus's own linter has nothing to say about the exposition."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool: install prometheus")
    text = full_book().exposition()
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_only_metrics_are_served() -> None:
    """Other paths and methods are refused, and a body is not taken."""

    async def scenario() -> list[int]:
        async with serving("127.0.0.1:0", book().exposition) as port:
            root = f"http://127.0.0.1:{port}"
            async with aiohttp.ClientSession() as session:
                asked = [("GET", "/"), ("POST", "/metrics"), ("GET", "/metrics/x")]
                statuses = []
                for method, path in asked:
                    async with session.request(method, root + path) as answer:
                        statuses.append(answer.status)
                return statuses

    assert asyncio.run(scenario()) == [404, 405, 404]


@pytest.mark.parametrize("listen", ["0.0.0.0:9464", "10.0.0.1:1", ":9464", "9464", "localhost:x"])
def test_it_listens_on_loopback_only(listen: str) -> None:
    """Any other address is refused when the gateway is made, before anything is touched."""
    with pytest.raises(ConfigError, match=r"metrics\.listen"):
        parse_listen(listen)
    text = f"sandboxes: {{subnets: [10.0.0.0/8]}}\nmetrics: {{listen: '{listen}'}}"
    with pytest.raises(ConfigError, match=r"metrics\.listen"):
        Gateway(parse_config(text))


def test_a_port_that_is_taken_is_said() -> None:
    """Where another listens the error names the key, and the address once."""

    async def scenario() -> None:
        async with serving("127.0.0.1:0", book().exposition) as port:
            with pytest.raises(
                ConfigError, match=r"listen 127\.0\.0\.1:\d+: Address already in use; "
            ):
                async with serving(f"127.0.0.1:{port}", book().exposition):
                    pass

    asyncio.run(scenario())
