"""Events to Redis by way of the spool: none lost while Redis is away, and in order.

Strategy: an event is on disk before anything else happens to it, and one task hands the oldest
over, again and again until it is taken. So Redis being slow, gone or restarted is never seen by
the gateway. Lines may be handed over twice (the gateway was killed in between, or the answer was
lost), so the receiver must take a repeat as done: the lineage store knows events by their content.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable

from davylamp import events
from davylamp.errors import LineageUnavailable
from davylamp.events import AnyEvent
from davylamp.outputs.sink import Spooled
from davylamp.outputs.spool import Spool

Deliver = Callable[[bytes], Awaitable[object]]
"""Takes one line; raises LineageUnavailable where Redis cannot be reached just now."""

FIRST_RETRY = 0.1
LAST_RETRY = 5.0
ATTEMPTS = 5
_LINES = 16
"""How many are read from disk at once, and so how many may be handed over twice."""

logger = logging.getLogger(__name__)


class RedisStream:
    """A sink that keeps events in a spool and hands them to ``deliver`` when Redis is there.

    A line that Redis is there for and yet refuses ``ATTEMPTS`` times is given up, counted in
    ``refused`` and logged: one event must not hold up all that follow. Times are in seconds.
    """

    def __init__(
        self,
        spool: Spool,
        deliver: Deliver,
        *,
        first_retry: float = FIRST_RETRY,
        last_retry: float = LAST_RETRY,
        drain_seconds: float = 2.0,
    ) -> None:
        self.delivered = 0
        self.refused = 0
        self._spool = spool
        self._deliver = deliver
        self._first_retry = first_retry
        self._last_retry = last_retry
        self._drain_seconds = drain_seconds
        self._lock = threading.Lock()
        self._arrived = asyncio.Event()
        self._emptied = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to hand over what an earlier run left; the first ``write`` does this too."""
        if self._task is None:
            self._task = asyncio.create_task(self._drain(), name="davylamp-redis-stream")

    def counters(self) -> dict[str, int]:
        """Return what became of the events, for the stats event."""
        return {
            "delivered": self.delivered,
            "refused": self.refused,
            "pending": len(self._spool),
            "dropped": self._spool.dropped,
            "damaged": self._spool.damaged,
        }

    def spooled(self) -> Spooled:
        """Return what is on disk, without waiting for it."""
        spool = self._spool
        return Spooled(len(spool), spool.dropped, self.refused, spool.size, spool.max_bytes)

    async def write(self, event: AnyEvent) -> None:
        """Put the event on disk; raise OSError where the disk refuses it."""
        await asyncio.to_thread(self._append, events.encode(event))
        self._emptied.clear()
        self._arrived.set()
        self.start()

    async def close(self) -> None:
        """Give Redis a last chance; what it does not take stays on disk for the next run."""
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), self._drain_seconds)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.to_thread(self._close)

    async def _drain(self) -> None:
        while True:
            self._arrived.clear()
            try:
                await self._drain_spool()
            except OSError:
                logger.exception("the spool cannot be read; trying again in %s s", self._last_retry)
                await asyncio.sleep(self._last_retry)
                continue
            if not self._arrived.is_set():
                self._emptied.set()
            await self._arrived.wait()

    async def _drain_spool(self) -> None:
        lines = await asyncio.to_thread(self._peek)
        while lines:
            for line in lines:
                await self._hand_over(line)
            lines = await asyncio.to_thread(self._next)

    async def _hand_over(self, line: bytes) -> None:
        """Return when ``line`` was taken or given up."""
        delay = self._first_retry
        refusals = 0
        away = False
        while True:
            try:
                await self._deliver(line)
            except LineageUnavailable as error:
                if not away:
                    logger.warning("Redis is away, events are kept on disk: %s", error)
                away = True
            except Exception:
                refusals += 1
                if refusals == ATTEMPTS:
                    self.refused += 1
                    logger.exception("Redis refused an event %d times; it is given up", refusals)
                    return
            else:
                self.delivered += 1
                if away:
                    logger.warning("Redis is back, %d events to hand over", len(self._spool))
                return
            await asyncio.sleep(delay)
            delay = min(delay * 2, self._last_retry)

    # The spool's methods touch the disk, so they run in threads, one at a time.

    def _append(self, line: bytes) -> None:
        with self._lock:
            self._spool.append(line)

    def _peek(self) -> list[bytes]:
        with self._lock:
            return self._spool.peek(_LINES)

    def _next(self) -> list[bytes]:
        with self._lock:
            self._spool.ack()
            return self._spool.peek(_LINES)

    def _close(self) -> None:
        with self._lock:
            self._spool.close()
