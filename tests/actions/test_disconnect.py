"""A container is taken off all its networks, and back, though some of them make trouble.

The engine is played here; test_docker holds a real one to its word.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

from tests.actions.conftest import MakePlanned

from davylamp.actions.attempts import Limits
from davylamp.actions.docker import DockerExecutor
from davylamp.actions.model import Kind, Record, Status
from davylamp.actions.operations import ActionOperations
from davylamp.actions.runner import ActionRunner
from davylamp.attribution.operation import Operation
from davylamp.attribution.server import EmbeddedRedis
from davylamp.attribution.store import AsyncStore
from davylamp.engines.docker_model import Attachment, Container, Outcome, Settings, State
from davylamp.errors import ConfigError, EngineError, LineageUnavailable

OPERATIONS = ActionOperations()
STARTED = "1970-01-01T00:00:01Z"


class Engine:
    """An engine with one container on the networks a, b and c; ``trouble`` is what it has next."""

    def __init__(self, **trouble: list[Outcome | Exception]) -> None:
        self.networks = dict.fromkeys("abc", Attachment())
        self.trouble = trouble
        self.asked: list[str] = []
        self.late = ""
        self.shown = 0
        self.watched: Callable[[str], Awaitable[None]] | None = None

    async def inspect(self, _container: str) -> Container:
        """Show the container; it joins the network ``late`` when it was seen once."""
        self.shown += 1
        if self.late and self.shown == 2:
            self.networks[self.late] = Attachment()
        settings = Settings(networks=dict(self.networks))
        state = State(running=True, started_at=STARTED)
        return Container(id="c1", name="/sandbox-7", state=state, network_settings=settings)

    async def disconnect(self, network: str, _container: str, *, force: bool) -> Outcome:
        """Take it off a network, or have the trouble that comes first."""
        assert force
        self.asked.append(network)
        if self.watched is not None:
            await self.watched(network)
        if self.trouble.get(network):
            trouble = self.trouble[network].pop(0)
            if isinstance(trouble, Exception):
                raise trouble
            return trouble
        del self.networks[network]
        return Outcome.DONE

    async def connect(self, network: str, _container: str, **_addresses: str) -> Outcome:
        """Put it onto a network."""
        self.networks[network] = Attachment()
        return Outcome.DONE


class Forgetful(AsyncStore):
    """A store that is away for one command when it is told to."""

    away = False

    async def run[T](self, operation: Operation[T]) -> T:
        """Run an operation, or be away."""
        if self.away:
            self.away = False
            operation.close()
            raise LineageUnavailable("it is away")
        return await super().run(operation)


def play(
    server: EmbeddedRedis,
    engine: Engine,
    scene: Callable[[Forgetful, ActionRunner, list[Record]], Awaitable[None]],
) -> None:
    """Play a scene with a runner that disconnects containers of the engine."""

    async def run() -> None:
        told: list[Record] = []
        async with Forgetful(server.url) as store:
            runner = ActionRunner(
                store,
                {Kind.DOCKER_DISCONNECT: DockerExecutor(store, cast("Any", engine))},
                name="gw-1",
                dry_run=False,
                limits=Limits(timeout=5, attempts=2),
                on_outcome=told.append,
                clock=time.time,
            )
            task = asyncio.create_task(runner.run())
            await scene(store, runner, told)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


async def until(told: list[Record], count: int) -> Record:
    """Wait for so many outcomes; return the last."""
    async with asyncio.timeout(15):
        while len(told) < count:  # noqa: ASYNC110 - the runner tells no one
            await asyncio.sleep(0.01)
    return told[-1]


def outcome_of(
    server: EmbeddedRedis, planned: MakePlanned, engine: Engine
) -> tuple[Record, set[str], Record]:
    """Disconnect, then undo; return what came of the one, what it left, and of the other."""
    found: list[Any] = []

    async def scene(store: Forgetful, runner: ActionRunner, told: list[Record]) -> None:
        await runner.submit([planned(Kind.DOCKER_DISCONNECT, seen=time.time())])
        found.append(await until(told, 1))
        found.append(set(engine.networks))
        asked = await store.run(OPERATIONS.ask_to_undo("inc-1", "ann", time.time()))
        assert len(asked) == 1
        runner.look()
        found.append(await until(told, 2))

    play(server, engine, scene)
    return found[0], found[1], found[2]


def test_what_an_earlier_attempt_took_off_is_put_back(
    server: EmbeddedRedis, planned: MakePlanned
) -> None:
    """Where one network fails the rest is done at once, and undoing knows all of them."""
    engine = Engine(b=[EngineError("HTTP 500")])
    done, left, undone = outcome_of(server, planned, engine)
    assert (done.status, done.attempts, left) == (Status.DONE, 2, set())
    assert (undone.status, undone.outcome) == (Status.UNDONE, "back on a, b, c")
    assert engine.networks.keys() == {"a", "b", "c"}


def test_a_network_that_was_joined_at_the_last_moment_is_put_back_too(
    server: EmbeddedRedis, planned: MakePlanned
) -> None:
    """What an attempt itself found adds to what was foreseen."""
    engine = Engine()
    engine.late = "d"
    done, left, undone = outcome_of(server, planned, engine)
    assert (done.outcome, left) == ("taken off a, b, c, d", set())
    assert set(undone.outcome.removeprefix("back on ").split(", ")) == {"a", "b", "c", "d"}


def test_a_network_that_is_gone_holds_up_no_other(
    server: EmbeddedRedis, planned: MakePlanned
) -> None:
    """It is said, and the container is off all that are there."""
    done, left, _ = outcome_of(server, planned, Engine(a=[Outcome.GONE]))
    assert (done.status, left) == (Status.DONE, {"a"})
    assert done.outcome == "taken off b, c; not a: the container or network is gone"


def test_a_network_that_is_refused_makes_it_fail_half_way(
    server: EmbeddedRedis, planned: MakePlanned
) -> None:
    """The container is off the others, and what was done can be undone all the same."""
    engine = Engine(a=[ConfigError("forbidden")])
    done, left, undone = outcome_of(server, planned, engine)
    assert (done.status, left) == (Status.FAILED, {"a"})
    assert done.outcome == "taken off b, c; not a: forbidden"
    assert (undone.status, undone.outcome) == (Status.UNDONE, "back on b, c")


def test_what_fails_for_good_can_be_undone_as_far_as_it_was_done(
    server: EmbeddedRedis, planned: MakePlanned
) -> None:
    """As where the engine fails at one network at every attempt."""
    engine = Engine(b=[EngineError("HTTP 500")] * 2)
    done, left, undone = outcome_of(server, planned, engine)
    assert (done.status, left) == (Status.FAILED, {"b"})
    assert (undone.status, undone.outcome) == (Status.UNDONE, "back on a, c")


def test_what_undoing_needs_is_on_record_before_anything_is_done(
    server: EmbeddedRedis, planned: MakePlanned
) -> None:
    """So a gateway that dies half way leaves it to its heir."""
    engine = Engine()
    what = planned(Kind.DOCKER_DISCONNECT, seen=time.time())
    seen: list[set[str]] = []

    async def scene(store: Forgetful, runner: ActionRunner, told: list[Record]) -> None:
        async def watched(_network: str) -> None:
            record = await store.run(OPERATIONS.get(what.id))
            assert record is not None
            seen.append(set(record.memo))

        engine.watched = watched
        await runner.submit([what])
        await until(told, 1)

    play(server, engine, scene)
    assert seen == [{"network a", "network b", "network c"}] * 3


def test_what_was_done_is_not_done_again_for_a_store_that_is_away(
    server: EmbeddedRedis, planned: MakePlanned
) -> None:
    """Only its outcome waits."""
    engine = Engine()

    async def scene(store: Forgetful, runner: ActionRunner, told: list[Record]) -> None:
        async def watched(network: str) -> None:
            store.away = network == "c"

        engine.watched = watched
        await runner.submit([planned(Kind.DOCKER_DISCONNECT, seen=time.time())])
        record = await until(told, 1)
        assert (record.status, record.outcome) == (Status.DONE, "taken off a, b, c")
        assert set(record.memo) == {"network a", "network b", "network c"}

    play(server, engine, scene)
    assert engine.asked == ["a", "b", "c"]
