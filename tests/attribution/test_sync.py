"""The snapshot follows a real Redis, notices its loss, and catches up after its return."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable

import pytest
import redis

from davylamp.attribution.model import Binding, Change, Grade, ToolCall
from davylamp.attribution.server import EmbeddedRedis
from davylamp.attribution.store import AsyncStore, Store
from davylamp.attribution.sync import LineageSync
from davylamp.attribution.table import LineageTable

IP = "10.0.0.7"


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for a condition, or fail."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def following(
    url: str, seen: list[Change] | None = None
) -> AsyncIterator[tuple[LineageTable, LineageSync]]:
    """Run a sync task until the block is left."""
    async with AsyncStore(url) as store:
        table = LineageTable()
        sync = LineageSync(store, table, on_change=None if seen is None else seen.append)
        task = asyncio.create_task(sync.run())
        try:
            yield table, sync
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def bind(store: Store, name: str, start: float) -> None:
    """Bind the address to a container."""
    binding = Binding(ip=IP, lifecycle_id=name, valid_from=start, container=name, grade=Grade.BOUND)
    store.run(store.operations.bind(binding, time.time()))


def holder(table: LineageTable, at: float | None = None) -> str:
    """Say who holds the address then, or by the last confirmation, and how sure that is."""
    answer = table.attribute(IP, table.fresh_at if at is None else at)
    return f"{answer.grade} {answer.binding.container if answer.binding else '-'}"


def test_it_loads_and_follows(server: EmbeddedRedis, store: Store) -> None:
    """What was there before, and what comes after, is in the table; so are tool calls."""
    start = time.time() - 10
    bind(store, "a", start)
    store.run(
        store.operations.put_call(
            ToolCall(tool_call_id="t", lifecycle_id="a", started=start, tool="bash")
        )
    )

    async def scenario() -> None:
        seen: list[Change] = []
        async with following(server.url, seen) as (table, sync):
            assert await sync.wait_loaded(10)
            answer = table.attribute(IP, table.fresh_at)
            assert (answer.grade, answer.call and answer.call.tool) == (Grade.BOUND, "bash")
            bind(store, "b", time.time())
            await until(lambda: holder(table) == "bound b")
            assert holder(table, start + 1) == "bound a"
            assert len(seen) == 2
            store.run(store.operations.release(IP, "b", time.time(), time.time()))
            await until(lambda: holder(table) == "stale b")

    asyncio.run(scenario())


def test_it_stays_fresh_while_nothing_changes(server: EmbeddedRedis, store: Store) -> None:
    """Silence is confirmed again and again: an idle store does not make answers stale."""
    bind(store, "a", time.time() - 10)

    async def scenario() -> None:
        async with following(server.url) as (table, sync):
            assert await sync.wait_loaded(10)
            first = table.fresh_at
            await until(lambda: table.fresh_at > first + 2.5)
            assert holder(table) == "bound a"
            assert sync.reloads == 1

    asyncio.run(scenario())


def test_a_stopped_redis_is_noticed_and_made_up_for(server: EmbeddedRedis) -> None:
    """Killed, answers turn stale; restarted, what changed meanwhile is caught up with."""
    start = time.time() - 10
    with Store(server.url) as store:
        bind(store, "a", start)

    async def scenario() -> None:
        async with following(server.url) as (table, sync):
            assert await sync.wait_loaded(10)
            assert holder(table) == "bound a"
            server.stop()
            await until(lambda: not sync.connected)
            assert holder(table, time.time()) == "stale a"
            assert holder(table, start + 1) == "bound a"
            assert "does not answer" in sync.error
            await asyncio.to_thread(server.start)
            with Store(server.url) as store:
                bind(store, "b", time.time())
            await until(lambda: holder(table) == "bound b")
            assert sync.reloads == 2
            assert sync.error == ""

    asyncio.run(scenario())


def test_a_hung_redis_makes_answers_stale(server: EmbeddedRedis, store: Store) -> None:
    """A Redis that stops answering is as good as gone, and is followed again when it goes on."""
    bind(store, "a", time.time() - 10)

    async def scenario() -> None:
        async with following(server.url) as (table, sync):
            assert await sync.wait_loaded(10)
            assert server.pid is not None
            os.kill(server.pid, signal.SIGSTOP)
            try:
                await until(lambda: holder(table, time.time()) == "stale a")
            finally:
                os.kill(server.pid, signal.SIGCONT)
            await until(lambda: holder(table) == "bound a")

    asyncio.run(scenario())


def test_a_store_that_lost_its_data_leaves_nobody_named(server: EmbeddedRedis) -> None:
    """After Redis comes back empty the old snapshot is not passed off as current."""
    with Store(server.url) as store:
        bind(store, "a", time.time() - 10)

    async def scenario() -> None:
        async with following(server.url) as (table, sync):
            assert await sync.wait_loaded(10)
            with redis.Redis(unix_socket_path=str(server.place.socket)) as raw:
                raw.flushall()
            server.stop()
            await asyncio.to_thread(server.start)
            await until(lambda: sync.reloads == 2)
            assert holder(table) == "unknown -"
            with Store(server.url) as store:
                bind(store, "b", time.time())
            await until(lambda: holder(table) == "bound b")

    asyncio.run(scenario())


def test_it_waits_for_a_redis_that_is_not_there_yet(server: EmbeddedRedis) -> None:
    """A gateway may start before its store: unknown until then, and no exception."""
    server.stop()

    async def scenario() -> None:
        async with following(server.url) as (table, sync):
            assert not await sync.wait_loaded(0.3)
            assert holder(table) == "unknown -"
            await asyncio.to_thread(server.start)
            assert await sync.wait_loaded(20)

    asyncio.run(scenario())


def test_a_lasting_outage_is_logged_once(
    server: EmbeddedRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever reads the log learns of Redis being away, and of its return, in a line each."""
    server.stop()

    async def scenario() -> None:
        async with following(server.url) as (_, sync):
            await until(lambda: bool(caplog.messages))
            assert not sync.loaded.is_set()
            await asyncio.sleep(1)
            assert "does not answer" in caplog.messages[0]
            await asyncio.to_thread(server.start)
            assert await sync.wait_loaded(20)
            assert [one.split(": ")[0] for one in caplog.messages] == [
                "lineage is not kept fresh, alerts name nobody for sure",
                "lineage is loaded and kept fresh again",
            ]

    with caplog.at_level("WARNING", "davylamp.lineage"):
        asyncio.run(scenario())


def test_many_addresses_are_loaded_in_batches(server: EmbeddedRedis, store: Store) -> None:
    """A store with more addresses than a batch is loaded whole."""
    for number in range(300):
        ip = f"10.1.{number // 200}.{number % 200}"
        binding = Binding(ip=ip, lifecycle_id=f"c{number}", valid_from=1.0, container=f"c{number}")
        store.run(store.operations.bind(binding, time.time()))

    async def scenario() -> None:
        async with following(server.url) as (table, sync):
            assert await sync.wait_loaded(20)
            assert table.addresses == 300

    asyncio.run(scenario())
