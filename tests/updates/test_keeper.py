"""The pack in force in a running gateway: who asks meanwhile, what cannot be written, who dies."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
import pytest
from tests.updates.conftest import World, archive
from tests.workers.test_switchover import Worker, at_work

from davylamp.config import GatewayConfig, PackConfig
from davylamp.errors import PackError
from davylamp.events import AnyEvent, PackEvent
from davylamp.packs import PackKeeper
from davylamp.updates.install import (
    GATEWAY_LOCK,
    changing,
    decide,
    examine,
    install,
    updating,
)
from davylamp.updates.state import SHIPPED, Candidate, Outcome, Selection, State
from davylamp.updates.store import Store
from davylamp.workers import switchover as module
from davylamp.workers.orders import DropOrder, PackOrder, PrepareOrder, ReportOrder
from davylamp.workers.switchover import Switchover

CONFIG = GatewayConfig(pack=PackConfig(return_errors=3, shadow_seconds=0.5))


@dataclass
class Sick(Worker):
    """A worker with which something happens when it hears an order."""

    happens: Callable[[PackOrder], bool] = lambda _order: True

    def tell(self, order: PackOrder) -> bool:
        """Let it happen; False from it is a worker that is not there."""
        return self.happens(order) and super().tell(order)


class Broken(Store):
    """A store on a disk that is full when it is."""

    full = False

    def change(self, changed: Callable[[State], State]) -> State:
        """Refuse what needs room."""
        if self.full:
            raise PackError(f"{self.folder}: cannot be written: No space left on device")
        return super().change(changed)


@dataclass
class Gateway:
    """A keeper at work, its workers, and what it said."""

    keeper: PackKeeper
    switchover: Switchover
    said: list[AnyEvent] = field(default_factory=list)

    def told(self, change: str) -> list[str]:
        """Return the reasons of what was said so far of packs that changed so."""
        return [
            one.reason for one in self.said if isinstance(one, PackEvent) and one.change == change
        ]

    async def until(self, true: Callable[[], object]) -> None:
        """Wait until it is so."""
        async with asyncio.timeout(15):
            while not true():  # noqa: ASYNC110 - what is waited for says nothing
                await asyncio.sleep(0.02)


@asynccontextmanager
async def running(store: Store, *workers: Worker) -> AsyncIterator[Gateway]:
    """Run what a gateway does of packs."""
    gateway = Gateway(PackKeeper(CONFIG, store, None), Switchover(workers))
    for worker in workers:
        worker.join(gateway.switchover)
    with gateway.keeper.held():
        watching = gateway.keeper.watch(gateway.switchover, gateway.said.append)
        tasks = [asyncio.create_task(at_work(workers)), asyncio.create_task(watching)]
        try:
            yield gateway
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def kept(world: World, number: int) -> Selection:
    """Keep a pack beside the others; return what would put it in force."""
    return install(world.store, examine(world.store, archive(number))).selection


async def asked(store: Store, selection: Selection, **how: object) -> Outcome:
    """Ask the gateway, as a command does in its own process."""
    how = {"wait_seconds": 10.0} | how
    return await asyncio.to_thread(decide, store, selection, "update", **how)  # type: ignore[arg-type]


def test_what_cannot_be_written_down_is_not_in_force(world: World) -> None:
    """A full disk refuses the switch; else the gateway and its next start would disagree."""
    store = Broken(world.folder / "packs")

    def fill(order: PackOrder) -> bool:
        store.full = store.full or isinstance(order, PrepareOrder)
        return True

    worker = Sick("worker-0", happens=fill)

    async def play() -> None:
        async with running(store, worker) as gateway:
            asking = asyncio.create_task(asked(world.store, kept(world, 2), wait_seconds=3.0))
            await gateway.until(lambda: gateway.told("refused"))
            assert "No space left on device" in gateway.told("refused")[0]
            assert gateway.told("switched") == []
            assert worker.orders[-1] == DropOrder.__name__
            with pytest.raises(PackError, match="has not answered"):
                await asking

    asyncio.run(play())
    assert worker.in_force == []
    assert world.in_force() == "toy-1"


def test_what_was_withdrawn_is_not_in_force_and_what_came_after_is(world: World) -> None:
    """A command that was killed leaves its question; the next one's is not lost over it."""
    first, second = kept(world, 2), kept(world, 3)
    left = Candidate(selection=first, token="left", reason="update", shadow_flows=9)

    async def play() -> None:
        async with running(world.store, Worker("worker-0")) as gateway:
            world.store.change(lambda state: msgspec.structs.replace(state, candidate=left))
            await gateway.until(lambda: world.store.state().candidate is not None)
            await asyncio.sleep(0.4)
            assert (await asked(world.store, second)).accepted
            await gateway.until(lambda: gateway.told("switched"))
            assert "withdrawn" in gateway.told("refused")[0]

    asyncio.run(play())
    assert world.in_force() == "toy-3"


def test_a_question_that_the_last_gateway_ended_over_is_refused(world: World) -> None:
    """What was tried may be why it ended; and who still waits for the answer has it."""
    left = Candidate(selection=kept(world, 2), token="left", reason="update")
    world.store.change(lambda state: msgspec.structs.replace(state, candidate=left))

    async def play() -> None:
        async with running(world.store, Worker("worker-0")) as gateway:
            await asyncio.sleep(0.6)
            assert gateway.told("switched") == []

    asyncio.run(play())
    state = world.store.state()
    assert (state.candidate, state.outcome and state.outcome.accepted) == (None, False)
    assert world.in_force() == "toy-1"


def test_a_command_that_writes_just_then_does_not_keep_a_gateway_from_starting(
    world: World,
) -> None:
    """It has the gateway's lock for a moment, in which no other gateway runs."""
    lock = world.store.lock(GATEWAY_LOCK, wait=False)
    assert lock is not None
    threading.Timer(0.3, lock.close).start()
    began = time.monotonic()
    with PackKeeper(CONFIG, world.store, None).held():
        assert time.monotonic() - began >= 0.2


def test_a_pack_under_whose_trial_a_worker_dies_is_refused(world: World) -> None:
    """The others' trial says nothing of what that one met."""

    def die(order: PackOrder) -> bool:
        worker.restarts += isinstance(order, ReportOrder)
        return True

    worker = Sick("worker-0", happens=die)

    async def play() -> None:
        async with running(world.store, worker) as gateway:
            outcome = await asked(world.store, kept(world, 2), shadow_flows=9)
            assert (outcome.accepted, "worker-0 ended meanwhile" in outcome.reason) == (False, True)
            assert gateway.told("switched") == []

    asyncio.run(play())
    assert world.in_force() == "toy-1"


def test_a_pack_under_which_workers_die_is_returned_from(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while they are being started again, when nobody can be asked to prepare."""
    monkeypatch.setattr(module, "_FOLLOW_SECONDS", 0.3)
    away: list[str] = []
    worker = Sick("worker-0", happens=lambda _order: not away)

    async def play() -> None:
        async with running(world.store, worker) as gateway:
            assert (await asked(world.store, kept(world, 2))).accepted
            await gateway.until(lambda: gateway.told("switched"))
            away.append("it is being started")
            worker.restarts += 3
            await gateway.until(lambda: len(gateway.told("switched")) == 2)
            assert gateway.told("returned") == [
                "the inspection failed 3 times since it is in force"
            ]
            assert worker.begins_with is not None
            assert worker.begins_with.path.endswith("toy-1.tar.gz")

    asyncio.run(play())
    state = world.store.state()
    assert (state.in_force.pack, list(state.rejected)) == ("toy-1", ["toy-2"])


def test_a_last_good_pack_that_is_damaged_is_not_returned_to(world: World) -> None:
    """The shipped one is in force then; the one that fails is left all the same."""

    async def play() -> None:
        worker = Worker("worker-0")
        async with running(world.store, worker) as gateway:
            assert (await asked(world.store, kept(world, 2))).accepted
            await gateway.until(lambda: gateway.told("switched"))
            world.store.add("toy-1", b"")
            worker.restarts += 3
            await gateway.until(lambda: len(gateway.told("switched")) == 2)

    asyncio.run(play())
    assert world.store.state().in_force.pack == SHIPPED


def test_going_back_on_purpose_is_not_returned_from(world: World) -> None:
    """Else who mines could bring the pack back that somebody has just left."""

    async def play() -> None:
        worker = Worker("worker-0")
        async with running(world.store, worker) as gateway:
            assert (await asked(world.store, kept(world, 2))).accepted
            back = world.store.state().last_good
            assert back is not None
            assert (await asked(world.store, back, probation=False)).accepted
            worker.restarts += 30
            await asyncio.sleep(0.6)
            assert gateway.told("returned") == []

    asyncio.run(play())
    assert world.in_force() == "toy-1"


def test_what_is_put_in_force_while_a_worker_is_away_is_taken_up_later(world: World) -> None:
    """The gateway does not go on with another pack than the one that is written down."""
    away = ["it is being started"]
    worker = Sick("worker-0", happens=lambda _order: not away)
    selection = kept(world, 2)

    async def play() -> None:
        async with running(world.store, worker) as gateway:
            world.store.change(lambda state: state.accept(selection))
            await asyncio.sleep(0.6)
            away.clear()
            await gateway.until(lambda: gateway.told("switched"))

    asyncio.run(play())
    assert len(worker.in_force) == 1


def test_only_one_changes_what_is_in_force(world: World) -> None:
    """Another is told so at once, and can go on when the first is done."""
    refused = pytest.raises(PackError, match="another change of these packs runs; try again")
    with changing(world.store), refused, changing(world.store):
        pass
    with changing(world.store), updating(world.store):
        pass
    fetching = pytest.raises(PackError, match="another update runs; try again later")
    with updating(world.store), fetching, updating(world.store):
        pass
    with updating(world.store), changing(world.store):
        pass  # however slow the server is
