"""What waits and what is noted of an engine's events is bounded, and loses nothing unnoticed."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from davylamp.attribution.sources import docker_events
from davylamp.attribution.sources.docker_events import Notes, Waiting
from davylamp.engines.docker_model import UNREADABLE, Actor, Event
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
