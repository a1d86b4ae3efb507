"""Sentinel and Cluster, failed over and resharded while events arrive: none lost, none doubled."""

import asyncio
import dataclasses
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from tests.attribution.conftest import MakeAlert
from tests.attribution.redis_world import (
    ClusterWorld,
    SentinelWorld,
    Server,
    events_of,
    running,
    until,
)

from davylamp.attribution.model import Binding
from davylamp.attribution.store import AsyncStore, Store
from davylamp.attribution.sync import LineageSync
from davylamp.attribution.table import LineageTable
from davylamp.errors import LineageUnavailable
from davylamp.events import decode
from davylamp.outputs.redis_stream import PACE, redis_stream
from davylamp.outputs.spool import Spool
from davylamp.outputs.spooled import SpooledSink

type World = SentinelWorld | ClusterWorld

RATE = 1_000
COUNTS = [pytest.param(1_500), pytest.param(6_000, marks=pytest.mark.slow)]


@pytest.fixture
def sentinels(tmp_path: Path) -> Iterator[SentinelWorld]:
    """Run a master, a replica and three Sentinels."""
    yield from running(SentinelWorld, tmp_path)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ClusterWorld]:
    """Run a Cluster of three masters and three replicas."""
    yield from running(ClusterWorld, tmp_path)


async def _stream_through(
    world: World, spool: Path, make_alert: MakeAlert, count: int, disturb: Callable[[], None]
) -> SpooledSink:
    """Write events at the rate, disturb Redis after a third, and wait until all are taken."""
    store = AsyncStore(world.url)

    async def deliver(line: bytes) -> None:
        await store.record(decode(line))

    pace = dataclasses.replace(PACE, last_retry=0.5, drain=120)
    stream = redis_stream(Spool(spool), deliver, pace)
    began = time.monotonic()
    trouble: asyncio.Task[None] | None = None
    for number in range(count):
        if number == count // 3:
            trouble = asyncio.create_task(asyncio.to_thread(disturb))
        await stream.write(make_alert("a", "a@10", flow_id=number))
        await asyncio.sleep(began + (number + 1) / RATE - time.monotonic())
    assert trouble is not None
    await trouble
    await stream.close()
    await store.close()
    return stream


def _numbers(server: Server, key: str) -> list[int]:
    return [msgspec.json.decode(line)["flow_id"] for line in events_of(server, key)]


@pytest.mark.parametrize("count", COUNTS)
def test_a_sentinel_failover_loses_and_doubles_nothing(
    sentinels: SentinelWorld, tmp_path: Path, make_alert: MakeAlert, count: int
) -> None:
    """The master is killed while events arrive: the new one has each once, in order."""
    run = _stream_through(sentinels, tmp_path / "s", make_alert, count, sentinels.fail_over)
    stream = asyncio.run(run)
    assert stream.counters()["pending"] == stream.counters()["dropped"] == stream.refused == 0
    assert _numbers(sentinels.master(), "davylamp:events") == list(range(count))


@pytest.mark.parametrize("count", COUNTS)
def test_a_cluster_failover_loses_and_doubles_nothing(
    cluster: ClusterWorld, tmp_path: Path, make_alert: MakeAlert, count: int
) -> None:
    """The holder of lineage is killed while events arrive: its heir has each once, in order."""
    run = _stream_through(cluster, tmp_path / "s", make_alert, count, cluster.fail_over)
    stream = asyncio.run(run)
    assert stream.counters()["pending"] == stream.counters()["dropped"] == stream.refused == 0
    assert _numbers(cluster.master(), "{davylamp}:events") == list(range(count))


@pytest.mark.parametrize("count", COUNTS)
def test_resharding_loses_and_doubles_nothing(
    cluster: ClusterWorld, tmp_path: Path, make_alert: MakeAlert, count: int
) -> None:
    """The slot moves to another master while events arrive: that has each once, in order."""
    before = cluster.master()
    run = _stream_through(cluster, tmp_path / "s", make_alert, count, cluster.reshard)
    stream = asyncio.run(run)
    assert cluster.master() is not before
    assert stream.counters()["pending"] == stream.counters()["dropped"] == stream.refused == 0
    assert _numbers(cluster.master(), "{davylamp}:events") == list(range(count))


def test_lineage_goes_on_after_a_failover(sentinels: SentinelWorld) -> None:
    """What was bound before is known after, and a snapshot learns what is bound then."""
    with Store(sentinels.url) as store:
        store.run(store.operations.bind(_hold("10.0.0.7", "a"), 10))
        until(lambda: sentinels.master().ask("WAIT", 1, 100) == 1)
        sentinels.fail_over()
        until(lambda: _bound(store, "10.0.0.8", "b"))
        assert _holder(store, "10.0.0.7") == "a"
    assert asyncio.run(_seen(sentinels.url, {"10.0.0.7", "10.0.0.8"}))


def test_every_operation_works_on_a_cluster(cluster: ClusterWorld, make_alert: MakeAlert) -> None:
    """Scripts, reads of many keys and the snapshot work where slots are on several nodes."""
    with Store(cluster.url) as store:
        ops = store.operations
        for number in range(1, 20):
            store.run(ops.bind(_hold(f"10.0.0.{number}", f"c{number}"), 10))
        store.run(ops.release("10.0.0.1", "c1@10", 20, 20))
        assert store.run(ops.record(make_alert("c2", "c2@10")))
        dossier = store.run(ops.look_up("c2"))
        assert dossier is not None
        assert len(dossier.incidents) == 1
        cluster.reshard()
        assert _holder(store, "10.0.0.3") == "c3"
        assert len(store.run(ops.listing(50))) == 18
    assert asyncio.run(_seen(cluster.url, {f"10.0.0.{number}" for number in range(1, 20)}))


def test_an_event_that_only_the_master_has_is_not_recorded(
    sentinels: SentinelWorld, make_alert: MakeAlert
) -> None:
    """While the replica hangs, recording raises, also when repeated; afterwards it is done once."""
    replica = next(one for one in sentinels.servers if one is not sentinels.master())
    alert = make_alert("a", "a@10")
    with Store(sentinels.url) as store:
        os.kill(replica.pid, signal.SIGSTOP)
        try:
            for _ in range(2):
                with pytest.raises(LineageUnavailable, match="0 of 1 replicas"):
                    store.run(store.operations.record(alert))
            store.close()
            with pytest.raises(LineageUnavailable, match="0 of 1 replicas"):
                store.run(store.operations.record(alert))
        finally:
            os.kill(replica.pid, signal.SIGCONT)
        until(lambda: _recorded(store, alert))
    assert len(events_of(sentinels.master(), "davylamp:events")) == 1


def _hold(ip: str, container: str) -> Binding:
    return Binding(ip=ip, lifecycle_id=f"{container}@10", valid_from=10, container=container)


def _bound(store: Store, ip: str, container: str) -> bool:
    try:
        store.run(store.operations.bind(_hold(ip, container), 10))
    except LineageUnavailable:
        return False
    return True


def _recorded(store: Store, alert: object) -> bool:
    try:
        store.run(store.operations.record(alert))  # type: ignore[arg-type]
    except LineageUnavailable:
        return False
    return True


def _holder(store: Store, ip: str) -> str:
    holder = store.run(store.operations.history(ip)).holder(15)
    return holder.container if holder is not None else ""


async def _seen(url: str, ips: set[str]) -> bool:
    """Tell whether a fresh snapshot knows these addresses."""
    table = LineageTable()
    async with AsyncStore(url) as store:
        sync = LineageSync(store, table)
        task = asyncio.create_task(sync.run())
        loaded = await sync.wait_loaded(20)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return loaded and all(table.attribute(ip, 15).binding for ip in ips)
