"""Events that count, and a book that has every series."""

from tests.alerts import an_alert
from tests.alerts import signature as told_by

from davylamp.events import (
    ActionEvent,
    ActionInfo,
    AlertEvent,
    AnyEvent,
    LineageEvent,
    LineageInfo,
    PackEvent,
    StatsEvent,
    TlsEvent,
)
from davylamp.metrics.book import MetricsBook
from davylamp.metrics.vitals import QueueVitals, Vitals, WorkerVitals

WHEN = "2026-02-03T04:05:06+00:00"


def alert(signature: str = "cryptonote-login", address: str = "10.0.0.2") -> AlertEvent:
    """Return an alert."""
    return an_alert(src_ip=address, alert=told_by(signature))


def stats(worker: str = "queue-40", packets: int = 10) -> StatsEvent:
    """Return a worker's stats."""
    return StatsEvent(
        timestamp=WHEN,
        packets=packets,
        bytes=2000,
        flows=3,
        alerts=1,
        seconds=12.5,
        worker=worker,
        counters={"cleared": 2, "blocked": 1},
    )


def tls(refusal: str = "", diversion: str = "") -> TlsEvent:
    """Return a TLS event."""
    return TlsEvent(
        timestamp=WHEN,
        flow_id=1,
        flow_start=WHEN,
        community_id="1:abc=",
        src_ip="10.0.0.2",
        src_port=1,
        dest_ip="10.0.0.3",
        dest_port=443,
        proto="TCP",
        refusal=refusal,
        diversion=diversion,
    )


def book(*published: AnyEvent) -> MetricsBook:
    """Return a book in which these events are counted, beside a file that lost one."""
    made = MetricsBook(
        lambda: {"file.written": 5, "file.dropped": 1, "file.failed": 0, "file.waiting": 7}
    )
    for event in published:
        made.count(event)
    return made


def full_book() -> MetricsBook:
    """Return a book of a gateway at work, with each series that there can be."""
    lineage = LineageEvent(timestamp=WHEN, change="bound", lineage=LineageInfo(grade="bound"))
    vitals = Vitals(
        mode="enforce",
        pack=("core", "1"),
        workers={"queue-40": WorkerVitals(up=True, restarts=2)},
        queues={40: QueueVitals(waiting=3, limit=8192, overflowed=4, unread=5)},
        lineage_live=True,
        lineage_fresh_at=1_700_000_000.5,
        rules_applied_at=1_700_000_001.5,
        connections={"both": 30, "originator": 6, "responder": 0},
    )
    lane = {"written": 5, "dropped": 1, "failed": 0, "waiting": 7}
    spool = {"waiting": 8, "dropped": 2, "refused": 3, "bytes": 900, "limit": 1000}
    counters = {
        **{f"redis.{name}": number for name, number in lane.items()},
        **{f"redis.spool_{name}": number for name, number in spool.items()},
    }
    made = MetricsBook(lambda: counters)
    made.follow(lambda: vitals)
    action = ActionEvent(
        timestamp=WHEN,
        incident_id="inc-1",
        action=ActionInfo(kind="quarantine", status="done", target="10.0.0.2"),
    )
    pack = PackEvent(
        timestamp=WHEN, change="in-force", pack="core", version="1", created=WHEN, expires=WHEN
    )
    for event in (alert(), action, pack, tls(refusal="x"), lineage, stats()):
        made.count(event)
    return made
