"""One look at a gateway through its API."""

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from davylamp.api.client import ApiClient
from davylamp.api.model import FlowPage, Health, Stats
from davylamp.errors import ConfigError
from davylamp.events import Struct

_QUEUE = {
    "davylamp_queue_waiting_packets": "waiting",
    "davylamp_queue_limit_packets": "limit",
    "davylamp_queue_dropped_packets_total": "dropped",
}


class QueueView(Struct, frozen=True, kw_only=True):
    """A kernel queue: packets that wait, that may, and for which there was no room."""

    waiting: int = 0
    limit: int = 0
    dropped: int = 0


class Look(Struct, frozen=True, kw_only=True):
    """What a gateway said of itself at one moment."""

    health: Health
    stats: Stats
    flows: FlowPage
    queues: dict[str, QueueView]


def look_at(gateway: ApiClient, flows: int) -> Look:
    """Ask for everything that is shown; raise ConfigError where it cannot be had."""
    return Look(
        health=gateway.read("/api/v1/health", Health),
        stats=gateway.read("/api/v1/stats", Stats),
        flows=gateway.read(f"/api/v1/flows?limit={max(1, min(flows, 1000))}", FlowPage),
        queues=queues_of(gateway.get("/metrics").decode("utf-8", "replace")),
    )


def queues_of(text: str) -> dict[str, QueueView]:
    """Return the queues by number out of an exposition; what is none of them is passed over."""
    found: dict[str, dict[str, int]] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if (what := _QUEUE.get(sample.name)) is not None:
                    queue = found.setdefault(sample.labels.get("queue", ""), {})
                    queue[what] = queue.get(what, 0) + int(sample.value)
    except ValueError as error:
        raise ConfigError(f"the gateway's /metrics cannot be read: {error}") from error
    return {number: msgspec.convert(queue, QueueView) for number, queue in found.items()}
