"""Follows what gateways refuse together, and reports how far it is.

The strategy is that of `davylamp.attribution.sync`: note where the stream of changes ends, load
everything, then read the stream on from there; after a lost connection or a long pause, again.
Nothing that the kernel refuses is taken back because Redis is away.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from itertools import batched

from davylamp.attribution.store import AsyncStore
from davylamp.blocks.model import Change, EndpointChange, QuarantineChange, Report, UndoChange
from davylamp.blocks.operations import BlockOperations
from davylamp.blocks.warden import Warden
from davylamp.errors import LineageUnavailable

_BLOCK = 0.5
_COUNT = 500
_AT_ONCE = 500
_RELOAD_AFTER = 30.0
_REPORT_SECONDS = 5.0
_BACKOFF_FIRST, _BACKOFF_LAST = 0.05, 2.0


class BlockFollower:
    """The task: ``run()`` until cancelled.

    ``on_undo`` is called when a person asks this gateway (``name``) to undo something.
    """

    def __init__(  # noqa: PLR0913 - what it follows, for whom
        self,
        store: AsyncStore,
        warden: Warden,
        *,
        name: str,
        enforcing: bool,
        shares: bool,
        clock: Callable[[], float],
        on_undo: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._operations = BlockOperations.beside(store.operations)
        self._warden = warden
        self._about = Report(name=name, at=0.0, position="", enforcing=enforcing, shares=shares)
        self._clock = clock
        self._on_undo = on_undo
        self._reported = 0.0
        self._again = False
        self.loaded = asyncio.Event()
        self.error = ""

    def start_over(self) -> None:
        """Load everything again soon, because the kernel has forgotten it."""
        self._again = True

    async def run(self) -> None:
        """Follow until cancelled; no failure of Redis ends it."""
        pause = _BACKOFF_FIRST
        while True:
            self.loaded.clear()
            try:
                await self._follow()
            except LineageUnavailable as error:
                self.error = str(error)
            pause = _BACKOFF_FIRST if self.loaded.is_set() else min(pause * 2, _BACKOFF_LAST)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret

    async def _follow(self) -> None:
        self._again = False
        position = await self._store.run(self._operations.position())
        await self._take(await self._store.run(self._operations.load()))
        self.loaded.set()
        self.error = ""
        await self._report(position)
        previous = self._clock()
        while True:
            read = await self._store.run(self._operations.changes(position, _BLOCK, _COUNT))
            now = self._clock()
            if self._again or now - previous > _RELOAD_AFTER:
                return
            previous = now
            await self._take(read.changes)
            moved = read.last_id != position
            position = read.last_id
            if moved or now - self._reported >= _REPORT_SECONDS:
                await self._report(position)

    async def _take(self, changes: Sequence[Change]) -> None:
        """Apply changes; quarantines all in one go, with what the store knows of them."""
        held: dict[str, list[str]] = {}
        for change in changes:
            if isinstance(change, QuarantineChange) and not change.quarantine.released:
                name = change.quarantine.lifecycle_id
                held[name] = await self._store.run(self._store.operations.addresses_of(name))
        blocks = [change.block for change in changes if isinstance(change, EndpointChange)]
        for some in batched(blocks, _AT_ONCE):
            self._warden.endpoints(some)
            await asyncio.sleep(0)  # ten thousand at once would hold up all else
        for change in changes:
            match change:
                case QuarantineChange(quarantine=quarantine):
                    self._warden.quarantine(quarantine, held.get(quarantine.lifecycle_id, ()))
                case UndoChange(gateway=gateway):
                    if gateway == self._about.name:
                        self._on_undo()
                case EndpointChange():
                    continue
        # Also where nothing changed here: lineage may have, by being loaded anew.
        self._warden.settle()

    async def _report(self, position: str) -> None:
        self._reported = self._clock()
        about = self._about
        report = Report(
            name=about.name,
            at=self._reported,
            position=position,
            enforcing=about.enforcing,
            shares=about.shares,
        )
        await self._store.run(self._operations.report(report))
