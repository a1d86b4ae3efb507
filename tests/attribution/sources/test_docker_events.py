"""What waits and is noted of an engine's events is bounded; what cannot be asked for is skipped."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from davylamp.attribution.model import Binding
from davylamp.attribution.sources import docker_events
from davylamp.attribution.sources.docker import DockerSource
from davylamp.attribution.sources.docker_events import Notes, Waiting
from davylamp.attribution.sources.facts import ENGINE_LABEL
from davylamp.attribution.sources.source import Health
from davylamp.engines.docker import DockerEngine
from davylamp.engines.docker_model import UNREADABLE, Actor, Event, Info, Listed
from davylamp.errors import EngineError


def died(number: int) -> Event:
    """Return the end of a container."""
    return Event(type="container", action="die", actor=Actor(id=f"c{number}"), time=number)


async def many(count: int) -> AsyncIterator[Event]:
    """Yield so many events."""
    for number in range(count):
        yield died(number)


def test_events_that_nobody_takes_are_counted_as_unreadable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of more than may wait, the rest is one mark that all is to be looked at, and then the end."""
    monkeypatch.setattr(docker_events, "_WAITING", 5)

    async def play() -> None:
        waiting = Waiting()
        await waiting.fill(many(1000))
        taken = [await waiting.next(1.0) for _ in range(5)]
        assert [one.type for one in taken if one is not None] == 4 * ["container"] + [UNREADABLE]
        with pytest.raises(EngineError, match="ended"):
            await waiting.next(1.0)
        assert await waiting.next(0.01) is None

    asyncio.run(play())


def test_only_so_many_ends_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers that come and go for ever fill nothing up; the newest ends are known."""
    monkeypatch.setattr(docker_events, "_NOTED", 10)
    notes = Notes()
    for number in range(1, 1000):
        notes.take(died(number), 0.5)
    assert notes.end("c999", 0.0) == 999.5
    assert notes.end("c1", 0.0) == 0.0
    assert len(notes._died) == 10


class IdleEngine(DockerEngine):
    """An engine without containers, of which nothing is heard."""

    async def info(self) -> Info:
        """Return which engine it is."""
        return Info(id="AB", name="host")

    async def containers(self, **_: Any) -> tuple[Listed, ...]:
        """Return that there is none."""
        return ()

    async def events(self, *, until: float | None = None, **_: Any) -> AsyncIterator[Event]:
        """Yield nothing, and go on with that."""
        if until is None:
            await asyncio.Event().wait()
        none: tuple[Event, ...] = ()
        for event in none:
            yield event


class OneRecord:
    """A ledger with one hold on record; what is released is noted."""

    def __init__(self, record: Binding) -> None:
        self.record = record
        self.released: list[str] = []

    async def bind(self, binding: Binding) -> Binding:
        """Take it."""
        return binding

    async def release(self, ip: str, lifecycle: str, at: float) -> None:  # noqa: ARG002 - a Ledger's
        """Note it."""
        self.released.append(ip)

    async def held(self, source: str) -> list[Binding]:  # noqa: ARG002 - a Ledger's
        """Return the record."""
        return [self.record]

    async def current(self) -> list[Binding]:
        """Return the record."""
        return [self.record]


@pytest.mark.parametrize("container_id", ["", "../x"])
def test_a_record_with_an_impossible_id_is_released(container_id: str) -> None:
    """The engine cannot be asked about it; the source goes on all the same."""
    record = Binding(
        ip="10.0.0.5",
        lifecycle_id="x@1",
        valid_from=1.0,
        container="x",
        container_id=container_id,
        source=DockerSource.name,
        labels={ENGINE_LABEL: "host/AB"},
    )
    ledger, health = OneRecord(record), Health("docker")

    async def play() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                await DockerSource(IdleEngine("unix:///x")).run(ledger, health)

    asyncio.run(play())
    assert ledger.released == ["10.0.0.5"]
    assert health.connected
