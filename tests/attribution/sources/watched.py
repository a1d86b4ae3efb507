"""What a gateway does with a source, without the gateway: the store, the source and a snapshot."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from davylamp.attribution.model import Attribution
from davylamp.attribution.sources.source import Source, StoreLedger
from davylamp.attribution.sources.supervised import SupervisedSources
from davylamp.attribution.store import AsyncStore
from davylamp.attribution.sync import LineageSync
from davylamp.attribution.table import LineageTable

SETTLED = 0.1
"""How long the gateway waits for what is written at the moment of a packet (alerts.py)."""


class Watched:
    """Follows in a thread of its own while entered; ``table`` may be read from anywhere."""

    def __init__(self, url: str, make: Callable[[], Source]) -> None:
        self._url = url
        self._make = make
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self._ended = asyncio.Event()
        self.table = LineageTable()
        self.sources: SupervisedSources | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self.wait(lambda: self.connections() > 0)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(20)
        assert not self._thread.is_alive()
        self._loop.close()

    def connections(self) -> int:
        """Return how often the source has put everything right and begun to follow."""
        if self.sources is None:
            return 0
        [health] = self.sources.health.values()
        return health.connections if health.connected else 0

    def wait(self, true: Callable[[], object], seconds: float = 30.0) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, self._state()
            time.sleep(0.01)

    def expect(self, ip: str, name: str) -> None:
        """Wait until the container of that name, or nobody, has an address."""
        self.wait(lambda: self.holder(ip) == name)

    def ask(self, ip: str, at: float) -> Attribution:
        """Ask as the gateway does: once lineage is known up to then, and has settled."""
        self.wait(lambda: self.table.fresh_at >= at + SETTLED)
        return self.table.attribute(ip, at)

    def holder(self, ip: str) -> str:
        """Return the name of the container that has an address, by what is confirmed."""
        found = self.table.attribute(ip, self.table.fresh_at)
        return found.binding.container if found.binding and found.grade.certain() else ""

    def _state(self) -> str:
        healths = self.sources.health.values() if self.sources is not None else ()
        return str([each.text(time.time()) for each in healths])

    async def _run(self) -> None:
        async with AsyncStore(self._url) as store:
            self.sources = SupervisedSources([self._make()], StoreLedger(store))
            tasks = [
                asyncio.create_task(self.sources.run()),
                asyncio.create_task(LineageSync(store, self.table).run()),
            ]
            await self._ended.wait()
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
