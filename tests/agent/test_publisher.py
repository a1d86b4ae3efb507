"""From an agent to a real store, and from there to a gateway: also late, full and interrupted."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.gateway.test_alerts import alert

from davylamp.actions.holding import addresses_held
from davylamp.agent.publisher import Publisher
from davylamp.attribution.hosts.asking import WAIT_SECONDS, HostNamer
from davylamp.attribution.hosts.ledger import HostLedger
from davylamp.attribution.hosts.model import Agent, Flow, Translation
from davylamp.attribution.hosts.operations import HostOperations
from davylamp.attribution.model import Binding, BindingChange, Grade
from davylamp.attribution.place import place_under
from davylamp.attribution.server import EmbeddedRedis, find_server
from davylamp.attribution.sources.source import StoreLedger
from davylamp.attribution.store import AsyncStore
from davylamp.attribution.table import LineageTable
from davylamp.errors import ActionRefused, ConfigError
from davylamp.latecomers import CAPACITY

AT = time.time()
ALERT = alert(opened=AT)
FLOW = Flow("tcp", ALERT.src_ip, ALERT.src_port, ALERT.dest_ip, ALERT.dest_port)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """Run a redis-server."""
    if find_server() is None:
        pytest.skip("no redis-server is installed")
    with EmbeddedRedis(place_under(tmp_path)) as running:
        yield running


def whose(number: int = 2, until: float | None = None) -> Translation:
    """Return that the flow is, or was, an inner address's."""
    ip = f"172.17.0.{number}"
    return Translation(host="w", ip=ip, port=5, since=AT - 1, until=until, watch=1)


def about(seen: float, name: str = "1") -> Agent:
    """Return the agent as it is announced."""
    return Agent(name="w", id=name, addresses=(ALERT.src_ip,), watch=1.0, seen=seen)


@contextlib.asynccontextmanager
async def publishing(store: AsyncStore, **options: int) -> AsyncIterator[Publisher]:
    """Run a publisher that has heard all."""
    publisher = Publisher(store, time.time, **options)
    publisher.heard_until(time.time())
    running = asyncio.create_task(publisher.run(about, lambda: iter(())))
    try:
        yield publisher
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def until(true: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.02)


def test_a_store_that_comes_back_gets_all_in_order(server: EmbeddedRedis) -> None:
    """What was put while it was away is there, the end in place of the begin, and nothing twice."""

    async def play() -> None:
        async with AsyncStore(server.url) as store, publishing(store) as publisher:
            await until(lambda: publisher.seen)
            await asyncio.to_thread(server.stop)
            begun = whose()
            for _ in range(2):
                publisher.put((FLOW, begun), time.time())
            ended = whose(until=AT)
            publisher.put((FLOW, ended), time.time())
            await asyncio.sleep(0.3)
            assert publisher.published == 0
            await asyncio.to_thread(server.start)
            await until(lambda: publisher.published == 3)
            [found] = await store.run(HostOperations.beside(store.operations).ask([FLOW]))
            assert found == (ended,)

    asyncio.run(play())


def test_what_does_not_fit_is_given_up_whole_and_said(server: EmbeddedRedis) -> None:
    """A gap is counted, and nothing after what was lost is said to be seen."""

    async def play() -> None:
        async with AsyncStore(server.url) as store, publishing(store, capacity=5) as publisher:
            for number in range(6):
                publisher.put((FLOW, whose(number)), 100.0 + number)
            assert (publisher.gaps, publisher.dropped) == (1, 5)
            await until(lambda: publisher.published)
            await asyncio.sleep(0.1)
            assert publisher.seen <= 100.0

    asyncio.run(play())


def test_what_somebody_else_wrote_is_passed_over(server: EmbeddedRedis) -> None:
    """No text under our keys makes reading them fail."""

    async def play() -> None:
        async with AsyncStore(server.url) as store:
            hosts = HostOperations.beside(store.operations)
            key = hosts.keys.translations(FLOW)
            sound = whose()
            for one in (sound, replace(sound, ip="no"), replace(sound, host="a/b")):
                await store.run(hosts.publish([(FLOW, one)]))
            await store._execute([("LPUSH", key, b"{\xff")])
            assert await store.run(hosts.ask([FLOW])) == [(sound,)]
            await store.run(hosts.announce(about(5.0)))
            await store._execute([("SET", hosts.keys.agent("x"), "[]")])
            await store._execute([("ZADD", hosts.keys.agents, 9, "x", 8, b"\xff")])
            assert list(await store.run(hosts.agents())) == ["w"]

    asyncio.run(play())


def test_two_agents_of_one_name_do_not_go_on(server: EmbeddedRedis) -> None:
    """Each would take the other's word for its own."""

    async def play() -> None:
        async with AsyncStore(server.url) as store, publishing(store) as publisher:
            await until(lambda: publisher.seen)
            other = Publisher(store, lambda: time.time() - 3)
            other.heard_until(time.time())
            with pytest.raises(ConfigError, match="name of its own"):
                await other.run(lambda seen: about(seen, "2"), lambda: iter(()))

    asyncio.run(play())


def test_a_gateway_waits_a_little_and_asks_on(server: EmbeddedRedis) -> None:
    """Unknown with the reason at first; named when the translation and the container come late."""

    async def play() -> None:
        table, news = LineageTable(), list[float]()
        async with AsyncStore(server.url) as store, publishing(store) as publisher:
            namer = HostNamer(table, store, time.time)
            assert namer.settled(ALERT)  # no host with an agent is known
            running = asyncio.create_task(namer.run(lambda: news.append(time.time())))
            await until(lambda: not namer.settled(ALERT))
            asked = time.time()
            await until(lambda: namer.settled(ALERT))
            assert time.time() - asked <= WAIT_SECONDS + 0.5
            who = namer.attribute(ALERT, asked)
            assert (who.grade, who.reason) == ("unknown", "the agent on w knows of no such flow")
            news.clear()
            publisher.heard_until(time.time())
            publisher.put((FLOW, whose()), time.time())
            await until(lambda: news)
            assert "172.17.0.2" in namer.attribute(ALERT, asked).reason
            ledger = HostLedger(StoreLedger(store), "w")
            hold = Binding(
                ip="172.17.0.2",
                lifecycle_id="c@1",
                valid_from=1.0,
                grade=Grade.BOUND,
                source="docker",
            )
            table.apply(BindingChange(binding=await ledger.bind(hold)))
            table.confirm(time.time() + 60)
            who = namer.attribute(ALERT, asked)
            assert who.binding is not None
            assert (who.grade, who.binding.source) == ("observed", "agent:w")
            assert [each.ip for each in await ledger.held("docker")] == ["172.17.0.2"]
            assert await HostLedger(StoreLedger(store), "x").held("docker") == []
            with pytest.raises(ActionRefused, match="shows on w alone"):
                await addresses_held(store, "c@1")
            for number in range(CAPACITY + 100):
                namer.settled(alert(opened=time.time() + number))
            assert len(namer._questions) == len(namer._open) == CAPACITY
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(play())
