"""A source that fails in any way is begun again, and nothing beside it notices."""

import asyncio

import pytest

from davylamp.attribution.model import Binding
from davylamp.attribution.sources import supervised
from davylamp.attribution.sources.source import Health, Ledger
from davylamp.attribution.sources.supervised import SupervisedSources
from davylamp.errors import EngineError


class Nowhere:
    """A ledger that nobody writes to."""

    async def bind(self, binding: Binding) -> Binding:
        """Take a bind."""
        return binding

    async def release(self, ip: str, lifecycle: str, at: float) -> None:
        """Take a release."""

    async def held(self, source: str) -> list[Binding]:  # noqa: ARG002 - a ledger's
        """Hold nothing."""
        return []

    async def current(self) -> list[Binding]:
        """Know nothing."""
        return []


class Failing:
    """A source that fails as it is told, then follows."""

    def __init__(self, name: str, *failures: BaseException | None) -> None:
        self.name = name
        self._failures = list(failures)
        self.following, self.tried = asyncio.Event(), asyncio.Event()

    async def run(self, ledger: Ledger, health: Health) -> None:  # noqa: ARG002 - a source's
        """Fail, end, or follow until cancelled."""
        if self._failures:
            failure = self._failures.pop(0)
            if len(self._failures) == 990:
                self.tried.set()
            if failure is not None:
                raise failure
            return
        health.begun()
        self.following.set()
        await asyncio.Event().wait()


def test_no_failure_of_a_source_ends_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors of the engine, mistakes of ours and a plain end are tried again; health says why."""
    monkeypatch.setattr(supervised, "_FIRST", 0.001)

    async def play() -> None:
        steady = Failing("steady")
        broken = Failing("broken", EngineError("away"), KeyError("x"), None, RuntimeError("y"))
        hopeless = Failing("hopeless", *[ValueError("always")] * 1000)
        running = SupervisedSources([steady, broken, hopeless], Nowhere())
        task = asyncio.create_task(running.run())
        async with asyncio.timeout(10):
            await broken.following.wait()
            await hopeless.tried.wait()
        assert steady.following.is_set()
        assert running.health["steady"].connections == 1
        assert running.health["broken"].connected
        assert "ValueError: always" in running.health["hopeless"].text(0.0)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(play())


class Flapping:
    """A source whose engine answers, and breaks off at once."""

    name = "flapping"

    def __init__(self) -> None:
        self.begun = 0

    async def run(self, ledger: Ledger, health: Health) -> None:  # noqa: ARG002 - a source's
        """Begin, and fail."""
        self.begun += 1
        health.begun()
        raise EngineError("HTTP 403")


def test_a_source_that_begins_well_and_fails_waits_longer_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A watch that is refused behind each list must not have an API server list for ever."""
    monkeypatch.setattr(supervised, "_FIRST", 0.01)

    async def play() -> int:
        source = Flapping()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.6):
                await SupervisedSources([source], Nowhere()).run()
        return source.begun

    assert 2 <= asyncio.run(play()) <= 10
