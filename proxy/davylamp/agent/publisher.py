"""From what an agent hears to the store: in order, in batches, bounded, and said when it is done.

Where more comes than the store takes, all that waits is given up at once: a flow whose end is not
told must not count as living, so there is a gap then (``gaps``), and the table has to be read.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice

from davylamp.agent.flows import Change
from davylamp.attribution.hosts.model import Agent
from davylamp.attribution.hosts.operations import HostOperations
from davylamp.attribution.store import AsyncStore
from davylamp.errors import ConfigError, LineageUnavailable

CAPACITY = 65_536
_BATCH = 256
_GATHER = 0.02
_ANNOUNCE = 1.0
_AGAIN_FIRST, _AGAIN_LAST = 0.1, 2.0

logger = logging.getLogger(__name__)


class Publisher:
    """Writes changes, and announces the agent about every second.

    ``dropped`` counts changes that there was no room for. ``clock`` gives seconds since the epoch.
    """

    def __init__(
        self, store: AsyncStore, clock: Callable[[], float], capacity: int = CAPACITY
    ) -> None:
        self._store = store
        self._operations = HostOperations.beside(store.operations)
        self._clock = clock
        self._capacity = capacity
        self._waiting: deque[tuple[float, Change]] = deque()
        self._again: Iterator[Change] = iter(())
        self._heard_until = 0.0
        self._began = self._announced = 0.0
        self.seen = 0.0
        self.published = 0
        self.dropped = 0
        self.gaps = 0

    def put(self, change: Change, after: float) -> None:
        """Have a change published that happened after that time."""
        if len(self._waiting) >= self._capacity:
            self.dropped += len(self._waiting)
            self.gaps += 1
            self._heard_until = min(self._heard_until, self._waiting[0][0])
            self._waiting.clear()
        self._waiting.append((after, change))

    def again(self, changes: Iterator[Change]) -> None:
        """Have these published when nothing else waits, in place of what was so before."""
        self._again = changes

    def heard_until(self, at: float) -> None:
        """Note that all that happened until then has been put."""
        self._heard_until = at

    async def run(
        self, about: Callable[[float], Agent], alive: Callable[[], Iterator[Change]]
    ) -> None:
        """Publish until cancelled.

        ``about`` gives the agent as it is to be announced, ``alive`` what is to be published again
        after the store was away. Raises ConfigError where another goes by the agent's name.
        """
        self._began, pause, said = self._clock(), _AGAIN_FIRST, ""
        while True:
            urgent = self._urgent()
            batch = [change for _, change in urgent]
            batch += islice(self._again, _BATCH - len(batch))
            try:
                if await self._told(batch, about) and said:
                    logger.info("the lineage store answers again")
                    self.again(alive())
                    said = ""
                pause = _AGAIN_FIRST
            except LineageUnavailable as error:
                self._waiting.extendleft(reversed(urgent))
                if str(error) != said:
                    said = str(error)
                    logger.warning("translations wait: %s", said)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _AGAIN_LAST)
            if len(batch) < _BATCH:
                await asyncio.sleep(_GATHER)

    async def _told(self, batch: list[Change], about: Callable[[float], Agent]) -> bool:
        """Publish a batch, and announce if it is time; say whether there was anything to tell."""
        # What happened before the first that still waits is in the store after this batch.
        oldest = self._waiting[0][0] if self._waiting else self._heard_until
        gaps, seen = self.gaps, min(oldest, self._heard_until)
        if batch:
            await self._store.run(self._operations.publish(batch))
            self.published += len(batch)
        if self.gaps == gaps:
            self.seen = max(self.seen, seen)
        if not self.seen or self._clock() - self._announced < _ANNOUNCE:
            return bool(batch)
        self._announced = self._clock()
        await self._announce(about(self.seen))
        return True

    def _urgent(self) -> list[tuple[float, Change]]:
        return [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]

    async def _announce(self, agent: Agent) -> None:
        before = await self._store.run(self._operations.announce(agent))
        if before is not None and before.id != agent.id and before.seen > self._began + _ANNOUNCE:
            raise ConfigError(
                f"another agent calls itself {agent.name}; give each host's agent a name of its own"
            )
