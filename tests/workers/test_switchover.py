"""All workers to another pack, or none: with workers that answer, refuse, die and lag."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from davylamp.errors import PackError
from davylamp.paths import SIGNATURES
from davylamp.signatures.pack import Pack
from davylamp.updates.loading import Loaded, PackSource
from davylamp.workers import switchover as module
from davylamp.workers.changing import PackChange
from davylamp.workers.orders import PackOrder, PrepareOrder, SwitchOrder
from davylamp.workers.switchover import Switchover

CORE = PackSource(path=str(SIGNATURES / "core"))


@dataclass
class Worker:
    """A worker that really compiles; ``ill`` says what it does wrong, and when."""

    name: str
    ill: str = ""
    restarts: int = 0
    begins_with: PackSource | None = None
    in_force: list[Pack] = field(default_factory=list)
    change: PackChange | None = None
    orders: list[str] = field(default_factory=list)

    def join(self, switchover: Switchover) -> None:
        """Have a gateway."""
        self.change = PackChange(
            lambda reply: switchover.heard(self.name, reply), self._switch, lambda _trial: None
        )

    def _switch(self, loaded: Loaded) -> None:
        self.in_force.append(loaded.pack)

    def tell(self, order: PackOrder) -> bool:
        """Take an order, unless it is the one that this worker is not up to."""
        self.orders.append(type(order).__name__)
        assert self.change is not None
        match order:
            case PrepareOrder() if self.ill == "away":
                return False
            case PrepareOrder() if self.ill == "dies":
                self.restarts += 1
            case SwitchOrder() if self.ill == "lags":
                pass
            case _:
                self.change.take(order)
        return True

    def use(self, source: PackSource) -> None:
        """Note what to begin with."""
        self.begins_with = source

    def start_again(self) -> None:
        """Begin anew."""
        self.restarts += 1


async def at_work(workers: Sequence[Worker]) -> None:
    """Have workers that have joined a gateway do what they are told, until cancelled."""
    while True:
        for worker in workers:
            assert worker.change is not None
            worker.change.poll()
        await asyncio.sleep(0.01)


async def play(source: PackSource, *workers: Worker) -> str:
    """Prepare and switch; return the refusal, if there is one."""
    switchover = Switchover(workers)
    for worker in workers:
        worker.join(switchover)
    working = asyncio.create_task(at_work(workers))
    try:
        await switchover.prepare(source)
        assert not any(worker.in_force for worker in workers), "nobody switches before all can"
        await switchover.switch(source)
    except PackError as error:
        return str(error)
    finally:
        working.cancel()
    return ""


def test_all_switch() -> None:
    """Every worker has the new pack, and begins with it from now on."""
    workers = Worker("queue-40"), Worker("queue-41"), Worker("mitmproxy-0")
    assert asyncio.run(play(CORE, *workers)) == ""
    assert [len(worker.in_force) for worker in workers] == [1, 1, 1]
    assert {worker.begins_with for worker in workers} == {CORE}


@pytest.mark.parametrize(
    ("ill", "message"),
    [("away", "queue-41 is being started"), ("dies", "queue-41 ended meanwhile")],
)
def test_one_that_cannot_prepare_keeps_all_on_the_old_pack(ill: str, message: str) -> None:
    """Nobody switches, and nobody begins with the new pack later."""
    workers = Worker("queue-40"), Worker("queue-41", ill)
    assert message in asyncio.run(play(CORE, *workers))
    assert [worker.in_force for worker in workers] == [[], []]
    assert {worker.begins_with for worker in workers} == {None}
    assert workers[0].orders[-1] == "DropOrder"


def test_a_pack_that_does_not_compile_is_refused_by_the_workers(tmp_path: Path) -> None:
    """With the place of the mistake."""
    (tmp_path / "pack.yaml").write_text("name: x\nversion: 2026.1.1\nformat: 1\n")
    (tmp_path / "bad.yaml").write_text("id: bad\n")
    worker = Worker("queue-40")
    refusal = asyncio.run(play(PackSource(path=str(tmp_path)), worker))
    assert refusal.startswith("queue-40: bad.yaml:1:")
    assert worker.in_force == []


def test_one_that_does_not_follow_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins with the new pack, which is in force by then."""
    monkeypatch.setattr(module, "_FOLLOW_SECONDS", 0.3)
    workers = Worker("queue-40"), Worker("queue-41", "lags")
    assert asyncio.run(play(CORE, *workers)) == ""
    assert [worker.restarts for worker in workers] == [0, 1]
    assert workers[1].begins_with == CORE
