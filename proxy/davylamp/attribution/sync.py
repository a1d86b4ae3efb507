"""Keeps a LineageTable fresh from Redis, as an asyncio task beside the verdicts.

The strategy: note where the stream of changes ends, load everything, then read the stream on
from the noted place. What arrives twice does no harm, and nothing can fall between. After a lost
connection, or a pause so long that the stream may have been trimmed, all of it is done again.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable
from itertools import batched

from davylamp.attribution.model import Change
from davylamp.attribution.store import AsyncStore
from davylamp.attribution.table import LineageTable
from davylamp.errors import LineageUnavailable

_BLOCK = 0.5
_COUNT = 1_000
_GATHER = 0.02
"""Seconds that a stream which moves is left to gather: each read costs as much as ten changes."""
_LOAD_BATCH = 64
_RELOAD_AFTER = 30.0
_BACKOFF_FIRST = 0.05
_BACKOFF_LAST = 2.0
_QUIET = 2.0
"""Seconds without Redis that are no news: a private one is still starting, or being handed over."""

_log = logging.getLogger("davylamp.lineage")


class LineageSync:
    """The task: ``run()`` until cancelled. It alone writes the table.

    ``connected`` and ``error`` are for health reports; ``loaded`` is set after the first load.
    ``on_change`` is called with each change that is read from the stream, after it was applied.
    """

    def __init__(
        self,
        store: AsyncStore,
        table: LineageTable,
        *,
        on_change: Callable[[Change], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._table = table
        self._on_change = on_change
        self._clock = clock
        self.loaded = asyncio.Event()
        self.reloads = 0
        self.error = ""
        self._lost_at: float | None = None
        self._told = False

    @property
    def connected(self) -> bool:
        """Whether changes are arriving now."""
        return self._table.live

    async def run(self) -> None:
        """Keep the table fresh until cancelled; no failure of Redis ends it."""
        pause = _BACKOFF_FIRST
        try:
            while True:
                before = self.reloads
                try:
                    await self._follow()
                except LineageUnavailable as error:
                    self._lose(str(error))
                pause = _BACKOFF_FIRST if self.reloads > before else min(pause * 2, _BACKOFF_LAST)
                # Jitter, so that the workers of a gateway do not all come back at one instant.
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        finally:
            self._table.lose()

    async def wait_loaded(self, seconds: float) -> bool:
        """Wait at most that long for the first load; say whether it is there."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.loaded.wait(), seconds)
        return self.loaded.is_set()

    def _lose(self, why: str) -> None:
        """Note that Redis failed; log it once for each outage that lasts."""
        self._table.lose()
        self.error = why
        now = self._clock()
        if self._lost_at is None:
            self._lost_at = now
        elif not self._told and now - self._lost_at >= _QUIET:
            self._told = True
            _log.warning("lineage is not kept fresh, alerts name nobody for sure: %s", why)

    def _regain(self) -> None:
        self.error = ""
        if self._told:
            _log.warning("lineage is loaded and kept fresh again")
        self._lost_at, self._told = None, False

    async def _follow(self) -> None:
        """Load, then follow the stream until a reload is due."""
        position = await self._load()
        previous = self._clock()
        while True:
            asked = self._clock()
            read = await self._store.run(self._store.operations.changes(position, _BLOCK, _COUNT))
            answered = self._clock()
            if answered - previous > _RELOAD_AFTER:
                return
            previous = answered
            for change in read.changes:
                self._table.apply(change)
                if self._on_change is not None:
                    self._on_change(change)
            if not read.full:
                # Redis waited in vain at least from `asked` for the blocking time; with changes,
                # nothing is known beyond the moment of asking.
                waited = 0.0 if read.last_id != position else _BLOCK
                self._table.confirm(min(answered, asked + waited))
            position = read.last_id
            if read.changes and not read.full:
                await asyncio.sleep(_GATHER)

    async def _load(self) -> str:
        operations = self._store.operations
        asked = self._clock()
        position = await self._store.run(operations.position())
        # Built beside the table in use, a batch at a time, so that nobody waits for a large one.
        shadow = LineageTable(self._table.limits)
        ips = await self._store.run(operations.addresses(self._table.limits.addresses))
        for some in batched(ips, _LOAD_BATCH):
            for change in await self._store.run(operations.load(some)):
                shadow.apply(change)
        self._table.adopt(shadow)
        self._table.confirm(asked)
        self.reloads += 1
        self._regain()
        self.loaded.set()
        return position.last_id
