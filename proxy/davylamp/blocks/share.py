"""This gateway's verdicts, told to the others.

Strategy. A verdict has long been carried out where it was judged; telling the others waits for
nothing and holds up nothing. What Redis does not take now is kept, bounded, and told when it is
back, unless its time is over by then.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable

from davylamp.attribution.store import AsyncStore
from davylamp.blocks.model import EndpointBlock, parse_endpoint
from davylamp.blocks.operations import BlockOperations
from davylamp.blocks.sharing import shareable
from davylamp.blocks.spared import Spared
from davylamp.errors import ConfigError, LineageUnavailable
from davylamp.events import AlertEvent

_WAITING = 4_096
_PAUSE_FIRST, _PAUSE_LAST = 0.1, 5.0

logger = logging.getLogger(__name__)


class Sharer:
    """Takes alerts, and publishes those whose endpoint is for nobody.

    ``needed`` is the confidence that blocks, ``seconds`` how long a block lasts.
    """

    def __init__(  # noqa: PLR0913 - whom it tells, what, and in whose name
        self,
        store: AsyncStore,
        spared: Spared,
        *,
        name: str,
        needed: int,
        seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._operations = BlockOperations.beside(store.operations)
        self._spared = spared
        self._name = name
        self._needed = needed
        self._seconds = seconds
        self._clock = clock
        self._waiting: OrderedDict[str, EndpointBlock] = OrderedDict()
        self._arrived = asyncio.Event()
        self.shared = 0

    def take(self, alert: AlertEvent) -> None:
        """Take an alert that is about to be published."""
        block = shareable(alert, self._name, self._needed, self._clock(), self._seconds)
        if block is None or block.endpoint in self._waiting or self._is_spared(block):
            return
        self._waiting[block.endpoint] = block
        if len(self._waiting) > _WAITING:
            self._waiting.popitem(last=False)
        self._arrived.set()

    async def run(self) -> None:
        """Publish what was taken, until cancelled."""
        pause = _PAUSE_FIRST
        while True:
            if not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            block = next(iter(self._waiting.values()))
            try:
                await self._publish(block)
            except LineageUnavailable as error:
                if pause == _PAUSE_FIRST:
                    logger.warning("verdicts wait to be shared: %s", error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _PAUSE_LAST)
            else:
                pause = _PAUSE_FIRST
                self._waiting.pop(block.endpoint, None)

    async def _publish(self, block: EndpointBlock) -> None:
        now = self._clock()
        if block.stands(now) and await self._store.run(self._operations.put(block, now)):
            self.shared += 1
            logger.info("shared: %s is refused everywhere (%s)", block.endpoint, block.reason)

    def _is_spared(self, block: EndpointBlock) -> bool:
        try:
            return self._spared.covers(parse_endpoint(block.endpoint))
        except ConfigError:  # the capture had an address that is nobody's
            return True
