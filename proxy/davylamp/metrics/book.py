"""The registry: fed by the events that the gateway publishes, read by whoever scrapes.

Labels are bounded, whatever sandboxes do: workers are ours, actions four, and categories and
signature ids those of a pack. Nothing that a peer chooses (addresses, names, runs) is a label.
Names follow https://prometheus.io/docs/practices/naming/: base units, and ``_total`` for what only
grows.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from davylamp import __version__
from davylamp.events import (
    ActionEvent,
    AlertEvent,
    AnyEvent,
    LineageEvent,
    PackEvent,
    StatsEvent,
    TlsEvent,
)
from davylamp.metrics.vitals import Vitals, VitalsCollector

MAX_WORKERS = 256
MAX_SIGNATURES = 2000
OTHER = "other"

SinkCounters = Callable[[], Mapping[str, int]]
"""``SINK.written``, ``.dropped``, ``.failed`` and ``.waiting``, as the fan-out has them, and
``.spool_waiting``, ``.spool_dropped``, ``.spool_refused``, ``.spool_bytes`` and ``.spool_limit``
of those that spool."""


class MetricsBook:
    """Counts what is published; ``counters`` says at each scrape how the outputs are.

    More than ``MAX_WORKERS`` workers or ``MAX_SIGNATURES`` signatures are counted as ``other``.
    """

    def __init__(self, counters: SinkCounters) -> None:
        self._registry = CollectorRegistry()
        self._alerts = Counter(
            "davylamp_alerts",
            "Alerts published, one per flow and signature.",
            ("action", "category", "signature"),
            registry=self._registry,
        )
        self._tls = Counter(
            "davylamp_tls_events",
            "TLS connections whose client refused our certificate, or that were diverted.",
            ("kind",),
            registry=self._registry,
        )
        self._lineage = Counter(
            "davylamp_lineage_events", "Changes of lineage published.", registry=self._registry
        )
        self._actions = Counter(
            "davylamp_actions",
            "Actions about incidents that came to an end.",
            ("kind", "status"),
            registry=self._registry,
        )
        self._signatures: set[str] = set()
        self._workers = _Workers()
        self._registry.register(self._workers)
        self._pack = _PackInForce()
        self._registry.register(self._pack)
        self._registry.register(_Sinks(counters))

    def follow(self, vitals: Callable[[], Vitals]) -> None:
        """Ask at each scrape, from now on, how the gateway is; once."""
        self._registry.register(VitalsCollector(vitals))

    def count(self, event: AnyEvent) -> None:
        """Count the event."""
        match event:
            case AlertEvent():
                signature = self._signature(event.alert.signature_id)
                action, category = event.verdict.action.value, event.alert.category
                self._alerts.labels(action, category, signature).inc()
            case TlsEvent():
                self._tls.labels("refusal" if event.refusal else "diversion").inc()
            case LineageEvent():
                self._lineage.inc()
            case PackEvent():
                self._pack.take(event)
            case ActionEvent():
                self._actions.labels(event.action.kind, event.action.status).inc()
            case StatsEvent():
                self._workers.take(event)

    def exposition(self) -> bytes:
        """Return everything in Prometheus's text format, version 0.0.4."""
        return generate_latest(self._registry)

    def alerts(self) -> dict[tuple[str, str], int]:
        """Return how many alerts were counted, by action and category."""
        found: dict[tuple[str, str], int] = {}
        for metric in self._alerts.collect():
            for sample in metric.samples:
                if sample.name.endswith("_total"):
                    key = sample.labels["action"], sample.labels["category"]
                    found[key] = found.get(key, 0) + int(sample.value)
        return found

    def workers(self) -> tuple[StatsEvent, ...]:
        """Return the newest stats of each worker."""
        return self._workers.newest()

    def _signature(self, identity: str) -> str:
        if identity not in self._signatures and len(self._signatures) >= MAX_SIGNATURES:
            return OTHER
        self._signatures.add(identity)
        return identity


class _Workers(Collector):
    """The newest stats of each worker: they count from the worker's start, as Prometheus does."""

    def __init__(self) -> None:
        self._newest: dict[str, StatsEvent] = {}

    def take(self, event: StatsEvent) -> None:
        if event.worker in self._newest or len(self._newest) < MAX_WORKERS:
            self._newest[event.worker] = event

    def newest(self) -> tuple[StatsEvent, ...]:
        return tuple(self._newest.values())

    def collect(self) -> Iterator[Metric]:
        packets = CounterMetricFamily(
            "davylamp_packets", "Packets that a worker inspected.", labels=("worker",)
        )
        octets = CounterMetricFamily(
            "davylamp_inspected_bytes", "Bytes that a worker inspected.", labels=("worker",)
        )
        flows = CounterMetricFamily(
            "davylamp_flows", "Flows that a worker began to inspect.", labels=("worker",)
        )
        uptime = GaugeMetricFamily(
            "davylamp_worker_uptime_seconds", "How long a worker had run.", labels=("worker",)
        )
        details = CounterMetricFamily(
            "davylamp_worker_events",
            "A worker's further counters, by name (docs/outputs.md).",
            labels=("worker", "event"),
        )
        for worker, event in self._newest.items():
            packets.add_metric((worker,), event.packets)
            octets.add_metric((worker,), event.bytes)
            flows.add_metric((worker,), event.flows)
            uptime.add_metric((worker,), event.seconds)
            for name, value in event.counters.items():
                details.add_metric((worker, name), value)
        yield from (packets, octets, flows, uptime, details)
        info = GaugeMetricFamily(
            "davylamp_build_info", "Always 1; the label is the version.", labels=("version",)
        )
        info.add_metric((__version__,), 1)
        yield info


class _PackInForce(Collector):
    """The signature pack, its age at the scrape, and what became of others."""

    def __init__(self) -> None:
        self._in_force: PackEvent | None = None
        self._changes: dict[str, int] = {}

    def take(self, event: PackEvent) -> None:
        self._changes[event.change] = self._changes.get(event.change, 0) + 1
        if event.change in ("in-force", "switched", "expired"):
            self._in_force = event

    def collect(self) -> Iterator[Metric]:
        changes = CounterMetricFamily(
            "davylamp_pack_changes", "Signature packs by what became of them.", labels=("change",)
        )
        for change, count in self._changes.items():
            changes.add_metric((change,), count)
        yield changes
        event = self._in_force
        if event is None:
            return
        now = time.time()
        if event.created:
            made = datetime.fromisoformat(event.created).timestamp()
            yield GaugeMetricFamily(
                "davylamp_rules_age_seconds", "Since the pack was made.", value=max(0.0, now - made)
            )
        if event.expires:
            until = datetime.fromisoformat(event.expires).timestamp()
            yield GaugeMetricFamily(
                "davylamp_rules_expired",
                "1 once the pack should have been replaced; it goes on enforcing.",
                value=float(now > until),
            )


class _Sinks(Collector):
    """How the outputs are, asked at the scrape."""

    def __init__(self, counters: SinkCounters) -> None:
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {
            "written": _sink_counter("written", "Events that an output took."),
            "dropped": _sink_counter("dropped", "Events that an output's full queue dropped."),
            "failed": _sink_counter("failed", "Events that an output failed to take."),
            "waiting": GaugeMetricFamily(
                "davylamp_output_waiting_events", "Events in an output's queue.", labels=("output",)
            ),
            "spool_waiting": _spool_gauge("waiting_events", "Events on disk for a receiver."),
            "spool_dropped": _spool_counter("dropped", "Events that a full spool dropped."),
            "spool_refused": _spool_counter("refused", "Events that a receiver would not have."),
            "spool_bytes": _spool_gauge("bytes", "What a spool takes on disk."),
            "spool_limit": _spool_gauge("limit_bytes", "What a spool may take."),
        }
        for key, value in self._counters().items():
            name, _, what = key.rpartition(".")
            families[what].add_metric((name,), value)
        yield from families.values()


def _sink_counter(what: str, said: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"davylamp_output_{what}_events", said, labels=("output",))


def _spool_counter(what: str, said: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"davylamp_spool_{what}_events", said, labels=("output",))


def _spool_gauge(what: str, said: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"davylamp_spool_{what}", said, labels=("output",))
