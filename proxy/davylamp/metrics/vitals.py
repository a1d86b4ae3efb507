"""How a gateway is at the moment of a scrape, and the series that say so."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class WorkerVitals:
    """Whether a worker process lives, and how often it was started again."""

    up: bool
    restarts: int


@dataclass(frozen=True, slots=True)
class QueueVitals:
    """An NFQUEUE as /proc/net/netfilter/nfnetlink_queue has it.

    ``waiting`` packets have no verdict yet, of ``limit`` that may. ``overflowed`` came to a full
    queue, ``unread`` to a full receive buffer; both since the queue was bound.
    """

    waiting: int
    limit: int
    overflowed: int
    unread: int


@dataclass(frozen=True, slots=True)
class Vitals:
    """All of it. Times are seconds since the epoch; 0 says not yet.

    ``connections`` that were begun, by what of them was seen: both, originator, responder.
    """

    mode: str
    pack: tuple[str, str]
    workers: Mapping[str, WorkerVitals] = field(default_factory=dict)
    queues: Mapping[int, QueueVitals] = field(default_factory=dict)
    lineage_live: bool = False
    lineage_fresh_at: float = 0.0
    rules_applied_at: float = 0.0
    rules_restored: int = 0
    connections: Mapping[str, int] = field(default_factory=dict)


class VitalsCollector(Collector):
    """Asks for the vitals at each scrape."""

    def __init__(self, vitals: Callable[[], Vitals]) -> None:
        self._vitals = vitals

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        now = self._vitals()
        yield from _workers(now)
        yield from _queues(now)
        yield from _times(now)
        yield _connections(now)
        mode = GaugeMetricFamily(
            "davylamp_mode", "1 for the mode the gateway is in.", labels=("mode",)
        )
        mode.add_metric((now.mode,), 1)
        pack = GaugeMetricFamily(
            "davylamp_pack_info", "Always 1; the pack in force.", labels=("pack", "version")
        )
        pack.add_metric(now.pack, 1)
        yield from (mode, pack)


def _workers(now: Vitals) -> Iterator[Metric]:
    up = GaugeMetricFamily("davylamp_worker_up", "1 while it runs, else 0.", labels=("worker",))
    restarts = CounterMetricFamily(
        "davylamp_worker_restarts", "How often it was started again.", labels=("worker",)
    )
    for name, worker in now.workers.items():
        up.add_metric((name,), int(worker.up))
        restarts.add_metric((name,), worker.restarts)
    yield from (up, restarts)


def _queues(now: Vitals) -> Iterator[Metric]:
    waiting = GaugeMetricFamily(
        "davylamp_queue_waiting_packets", "Packets without a verdict.", labels=("queue",)
    )
    limit = GaugeMetricFamily(
        "davylamp_queue_limit_packets", "Packets that may wait in it.", labels=("queue",)
    )
    dropped = CounterMetricFamily(
        "davylamp_queue_dropped_packets",
        "Packets for which there was no room: in the queue, or in the worker's buffer.",
        labels=("queue", "full"),
    )
    for number, queue in now.queues.items():
        name = str(number)
        waiting.add_metric((name,), queue.waiting)
        limit.add_metric((name,), queue.limit)
        dropped.add_metric((name, "queue"), queue.overflowed)
        dropped.add_metric((name, "buffer"), queue.unread)
    yield from (waiting, limit, dropped)


def _connections(now: Vitals) -> Metric:
    family = CounterMetricFamily(
        "davylamp_connections",
        "TCP connections begun, by whose packets came by here.",
        labels=("seen",),
    )
    for seen, count in now.connections.items():
        family.add_metric((seen,), count)
    return family


def _times(now: Vitals) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "davylamp_lineage_connected",
        "1 while changes of lineage arrive, else 0.",
        value=int(now.lineage_live),
    )
    if now.lineage_fresh_at > 0:
        yield GaugeMetricFamily(
            "davylamp_lineage_fresh_timestamp_seconds",
            "Up to when every change of lineage is known.",
            value=now.lineage_fresh_at,
        )
    yield CounterMetricFamily(
        "davylamp_rules_restored",
        "How often the kernel's rules were put back after somebody else had taken them out.",
        value=now.rules_restored,
    )
    if now.rules_applied_at > 0:
        yield GaugeMetricFamily(
            "davylamp_rules_applied_timestamp_seconds",
            "When the kernel's rules were put in force.",
            value=now.rules_applied_at,
        )
