"""One event to many sinks, none of which can hurt another or the gateway.

Strategy: each sink has a bounded queue and a task of its own. Taking an event never waits: where a
queue is full its oldest event is dropped and counted, because what is happening now matters more
than what a stuck sink has not read. A sink that raises loses that event, counted and logged.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict

from davylamp.errors import why
from davylamp.events import AnyEvent
from davylamp.outputs.select import Only
from davylamp.outputs.sink import Sink, Spooling, Troubled

DEFAULT_CAPACITY = 10_000

logger = logging.getLogger(__name__)


class FanOut:
    """A sink made of named sinks; ``capacity`` bounds the events waiting for each of them.

    ``write`` must be called in a running event loop, and returns without waiting. ``close`` gives
    each sink ``grace`` seconds to finish its queue.
    """

    def __init__(
        self, sinks: Mapping[str, Sink], *, capacity: int = DEFAULT_CAPACITY, grace: float = 5.0
    ) -> None:
        self._lanes = [_Lane(name, sink, capacity, grace) for name, sink in sinks.items()]

    def publish(self, event: AnyEvent) -> None:
        """Queue the event for every sink, from the event loop's thread."""
        for lane in self._lanes:
            lane.put(event)

    async def write(self, event: AnyEvent) -> None:
        """Queue the event for every sink."""
        self.publish(event)

    async def close(self) -> None:
        """Let every sink finish its queue within the grace period, and close it."""
        await asyncio.gather(*(lane.close() for lane in self._lanes))

    def problems(self) -> tuple[str, ...]:
        """Say which sinks lose events now, or keep them for a receiver that is away."""
        return tuple(said for lane in self._lanes if (said := lane.problem()))

    def counters(self) -> dict[str, int]:
        """Return ``SINK.written``, ``.dropped``, ``.failed`` and ``.waiting``.

        Of a sink that spools also ``.spool_waiting``, ``.spool_dropped``, ``.spool_refused``,
        ``.spool_bytes`` and ``.spool_limit``.
        """
        return {key: value for lane in self._lanes for key, value in lane.counters().items()}


class _Lane:
    """One sink, its queue and its task."""

    def __init__(self, name: str, sink: Sink, capacity: int, grace: float) -> None:
        self._name = name
        self._sink = sink
        self._queue: deque[AnyEvent] = deque()
        self._capacity = capacity
        self._grace = grace
        self._arrived = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._why = ""
        self._written = 0
        self._dropped = 0
        self._failed = 0

    def put(self, event: AnyEvent) -> None:
        if self._closing:
            self._dropped += 1
            return
        if len(self._queue) >= self._capacity:
            self._queue.popleft()
            self._dropped += 1
        self._queue.append(event)
        self._arrived.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"davylamp-output-{self._name}")

    async def close(self) -> None:
        self._closing = True
        self._arrived.set()
        if self._task is not None:
            done, _ = await asyncio.wait({self._task}, timeout=self._grace)
            if not done:
                self._dropped += len(self._queue) + 1
                self._queue.clear()
                self._task.cancel()
                await asyncio.wait({self._task}, timeout=self._grace)
        try:
            await asyncio.wait_for(self._sink.close(), self._grace)
        except Exception as error:  # noqa: BLE001 - a sink's fault stays with that sink
            logger.warning("output %s did not close: %s", self._name, why(error))

    def problem(self) -> str:
        if self._why:
            return f"output {self._name} fails, events for it are lost: {self._why}"
        sink = self._behind()
        return sink.trouble if isinstance(sink, Troubled) else ""

    def counters(self) -> dict[str, int]:
        return {
            f"{self._name}.written": self._written,
            f"{self._name}.dropped": self._dropped,
            f"{self._name}.failed": self._failed,
            f"{self._name}.waiting": len(self._queue),
            **self._spooled(),
        }

    def _spooled(self) -> dict[str, int]:
        sink = self._behind()
        if not isinstance(sink, Spooling):
            return {}
        return {
            f"{self._name}.spool_{what}": value for what, value in asdict(sink.spooled()).items()
        }

    def _behind(self) -> Sink:
        return self._sink.behind if isinstance(self._sink, Only) else self._sink

    async def _run(self) -> None:
        while self._queue or not self._closing:
            while self._queue:
                await self._write(self._queue.popleft())
            self._arrived.clear()
            if not self._closing:
                await self._arrived.wait()

    async def _write(self, event: AnyEvent) -> None:
        try:
            await self._sink.write(event)
        except Exception as error:  # noqa: BLE001 - a sink's fault stays with that sink
            self._failed += 1
            before, self._why = self._why, why(error)
            if not before:
                logger.warning("%s", self.problem())
        else:
            self._written += 1
            if self._why:
                logger.warning("output %s works again, %d lost", self._name, self._failed)
            self._why = ""
