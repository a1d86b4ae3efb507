"""Runs sources, whatever becomes of them: none ends another, nor what else the gateway does."""

import asyncio
import logging
import random
import time
from collections.abc import Sequence

from davylamp.attribution.sources.source import Health, Ledger, Source
from davylamp.errors import DavylampError

_FIRST = 0.1
_LAST = 10.0
_STEADY = 10.0
"""Seconds after which a source was at work. One that begins well and fails at once is to wait as
long as one that never begins: each time it asks an engine for all that runs."""

logger = logging.getLogger(__name__)


class SupervisedSources:
    """The sources, each in a task that begins it again at growing intervals.

    ``health`` is of each source, by name.
    """

    def __init__(self, sources: Sequence[Source], ledger: Ledger) -> None:
        self._sources = sources
        self._ledger = ledger
        self.health = {each.name: Health(each.name) for each in sources}

    async def run(self) -> None:
        """Run all until cancelled."""
        async with asyncio.TaskGroup() as group:
            for each in self._sources:
                group.create_task(self._keep(each, self.health[each.name]))

    async def _keep(self, source: Source, health: Health) -> None:
        pause, said = _FIRST, ""
        while True:
            before, begun = health.connections, time.monotonic()
            try:
                await source.run(self._ledger, health)
                health.failed("it ended")
            except DavylampError as error:
                health.failed(str(error))
            except Exception as error:  # a source's own mistake must not end what runs beside it
                health.failed(f"{type(error).__name__}: {error}")
                logger.exception("lineage source %s failed", source.name)
            if health.error != said:
                said = health.error
                logger.warning("lineage source %s is not following: %s", source.name, said)
            worked = health.connections > before and time.monotonic() - begun >= _STEADY
            pause = _FIRST if worked else min(pause * 2, _LAST)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
