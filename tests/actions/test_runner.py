"""Actions are done once, by one gateway, whatever fails; the log is a real Redis."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from msgspec.structs import replace
from tests.actions.conftest import MakePlanned

from davylamp.actions.attempts import Limits
from davylamp.actions.executor import Done
from davylamp.actions.model import Kind, Planned, Record, Status
from davylamp.actions.operations import ActionOperations
from davylamp.actions.runner import ActionRunner
from davylamp.attribution.server import EmbeddedRedis
from davylamp.attribution.store import AsyncStore
from davylamp.errors import ActionRefused

type Act = Callable[[Planned], Awaitable[Done]]


@dataclass
class World:
    """What two gateways do, and what they told of it."""

    store: AsyncStore
    done: list[tuple[str, str]] = field(default_factory=list)
    told: list[Record] = field(default_factory=list)

    def runner(self, name: str, act: Act, *, dry_run: bool = False) -> ActionRunner:
        """Return a gateway's runner, whose every action is ``act``."""
        world = self

        class Executor:
            async def do(self, planned: Planned, _now: float) -> Done:
                world.done.append((name, planned.target))
                return await act(planned)

            async def undo(self, record: Record, _now: float) -> str:
                assert record.memo["was"] == "running"
                world.done.append((name, f"undo {record.planned.target}"))
                return "undone"

        return ActionRunner(
            self.store,
            {Kind.DOCKER_PAUSE: Executor()},
            name=name,
            dry_run=dry_run,
            limits=Limits(timeout=0.3, attempts=3),
            on_outcome=self.told.append,
            clock=time.time,
        )

    async def until(self, true: Callable[[], object]) -> None:
        """Wait until something holds."""
        async with asyncio.timeout(20):
            while not true():  # noqa: ASYNC110 - of several events any
                await asyncio.sleep(0.01)


def play(server: EmbeddedRedis, scene: Callable[[World], Awaitable[None]]) -> None:
    """Play a scene on a store."""

    async def run() -> None:
        async with AsyncStore(server.url) as store:
            await scene(World(store))

    asyncio.run(run())


async def well(planned: Planned) -> Done:
    """Do it."""
    return Done("paused", {"was": "running"})


def test_two_gateways_do_it_once_and_the_doer_undoes_it(
    server: EmbeddedRedis, planned: MakePlanned
) -> None:
    """However often it is planned; and a person's wish to undo it is carried out by who did it."""

    async def scene(world: World) -> None:
        one, two = world.runner("gw-1", well), world.runner("gw-2", well)
        await asyncio.gather(*(each.submit([planned(), planned()]) for each in (one, two, one)))
        await world.until(lambda: world.told)
        assert len(world.done) == 1
        (told,) = world.told
        assert (told.status, told.outcome, told.attempts) == (Status.DONE, "paused", 1)
        operations = ActionOperations()
        for _ in range(2):
            asked = operations.ask_to_undo("sandbox-7", "ann", time.time())
            assert len(await world.store.run(asked)) == 1
        assert await world.store.run(operations.ask_to_undo("sandbox-8", "ann", 1)) == []
        tasks = [asyncio.create_task(each.run()) for each in (one, two)]
        await world.until(lambda: len(world.told) == 2)
        assert world.told[1].status is Status.UNDONE
        assert world.done[1] == (told.gateway, "undo c1")
        assert world.told[1].memo == {"was": "running", "by": "ann"}
        await one.submit([planned()])
        assert len(world.done) == 2
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    play(server, scene)


def test_what_fails_is_tried_again_and_what_hangs_holds_up_nobody_else(
    server: EmbeddedRedis, planned: MakePlanned
) -> None:
    """Each attempt has its time, a refusal is final, and one target's trouble is its own."""
    tries: list[str] = []

    async def act(one: Planned) -> Done:
        tries.append(one.target)
        if one.target == "hangs":
            await asyncio.sleep(60)
        if one.target == "refuses":
            raise ActionRefused("it is gone")
        if one.target == "fails once" and tries.count("fails once") == 1:
            raise OSError("not now")
        return Done("paused")

    async def scene(world: World) -> None:
        runner = world.runner("gw-1", act)
        for name in ("hangs", "refuses", "fails once"):
            await runner.submit([planned(target=name, container_id=name)])
        await world.until(lambda: len(world.told) == 3)
        assert world.told[-1].planned.target == "hangs"
        outcomes = {one.planned.target: (one.status, one.attempts) for one in world.told}
        assert outcomes == {
            "hangs": (Status.FAILED, 3),
            "refuses": (Status.FAILED, 1),
            "fails once": (Status.DONE, 2),
        }

    play(server, scene)


def test_what_was_begun_by_one_that_died_is_done_by_its_heir(
    server: EmbeddedRedis, planned: MakePlanned
) -> None:
    """By a gateway of the same name at once; another leaves it alone."""

    async def scene(world: World) -> None:
        record = Record(planned=planned(), status=Status.RUNNING, gateway="gw-1", at=time.time())
        assert await world.store.run(ActionOperations().claim(record, time.time() + 600))
        other = asyncio.create_task(world.runner("gw-2", well).run())
        heir = asyncio.create_task(world.runner("gw-1", well).run())
        await world.until(lambda: world.told)
        assert world.done == [("gw-1", "c1")]
        assert await world.store.run(ActionOperations().due(time.time() + 9999, "gw-1")) == []
        for task in (other, heir):
            task.cancel()
        await asyncio.gather(other, heir, return_exceptions=True)

    play(server, scene)


def test_more_candidates_are_told_of(server: EmbeddedRedis, planned: MakePlanned) -> None:
    """Though the same gateway has told of fewer; the same again is not told."""

    async def scene(world: World) -> None:
        runner = world.runner("gw-1", well)
        for count, candidates in enumerate([(), ("a", "b"), ("a", "b", "c")], 1):
            for _ in range(2):
                await runner.submit([planned(candidates=candidates)])
            await world.until(lambda count=count: len(world.told) == count)  # type: ignore[misc]
        assert [len(one.planned.candidates) for one in world.told] == [0, 2, 3]
        assert len(world.done) == 3

    play(server, scene)


def test_a_dry_run_says_what_it_would_do_and_does_it_later_if_told_to(
    server: EmbeddedRedis, planned: MakePlanned
) -> None:
    """Nothing is done, once; when it is no dry run any more, the same is done."""

    async def scene(world: World) -> None:
        dry = world.runner("gw-1", well, dry_run=True)
        await dry.submit([planned()])
        await world.runner("gw-2", well, dry_run=True).submit([planned()])
        assert [one.status for one in world.told] == [Status.WOULD]
        assert world.done == []
        await world.runner("gw-1", well).submit([planned()])
        await world.until(lambda: len(world.told) == 2)
        assert world.told[1].status is Status.DONE

    play(server, scene)


def test_gateways_that_never_come_back_are_in_nobodys_way(
    server: EmbeddedRedis, planned: MakePlanned
) -> None:
    """However much they left is passed over; after a day it failed, and what was done stays so."""

    async def scene(world: World) -> None:
        now, operations = time.time(), ActionOperations()

        async def left(gateway: str, number: int, until: float, status: Status) -> None:
            what = planned(incident_id=f"{gateway}-{number}")
            record = Record(planned=what, status=Status.RUNNING, gateway=gateway, at=now)
            assert await world.store.run(operations.claim(record, until))
            last = replace(record, status=status)
            assert await world.store.run(operations.change(record, last, until))

        for number in range(300):
            await left("gone", number, now - 3600, Status.RUNNING)
        await left("long-gone", 1, now - 2 * 86_400, Status.RUNNING)
        await left("long-gone", 2, now - 2 * 86_400, Status.UNDOING)
        await left("gw-1", 1, now - 60, Status.RUNNING)
        running = asyncio.create_task(world.runner("gw-1", well).run())
        await world.until(lambda: len(world.told) == 3)
        told = {one.planned.incident_id: one for one in world.told}
        assert {name: one.status for name, one in told.items()} == {
            "gw-1-1": Status.DONE,
            "long-gone-1": Status.FAILED,
            "long-gone-2": Status.DONE,
        }
        assert told["long-gone-2"].outcome.startswith("not undone: gateway long-gone")
        assert world.done == [("gw-1", "c1")]
        assert len(await world.store.run(operations.due(now, "gone"))) == 300
        assert await world.store.run(operations.due(now, "long-gone")) == []
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    play(server, scene)
