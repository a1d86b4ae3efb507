"""Events to a receiver by way of the spool: none lost while it is away, and in order.

Strategy: an event is on disk before anything else happens to it, and one task hands the oldest over
until they are taken. So a receiver that is slow, gone or restarted is never seen by the gateway. A
delivery may be repeated (the process was killed in between, or the answer was lost), so the
receiver must pass over an event that it has had: each carries its id.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import batched
from typing import assert_never

from davylamp import events
from davylamp.events import AnyEvent
from davylamp.outputs.sink import Spooled
from davylamp.outputs.spool import Spool

ATTEMPTS = 5

logger = logging.getLogger(__name__)


class Fate(StrEnum):
    """What became of a delivery."""

    TAKEN = "taken"
    AWAY = "away"
    """The receiver cannot take anything just now."""
    REFUSED = "refused"
    """The receiver is there, and will not have just this."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A delivery's fate, why, and in how many seconds the receiver would like the next.

    ``answer`` is the beginning of what it said beside that.
    """

    fate: Fate
    why: str = ""
    retry_after: float = 0.0
    answer: bytes = b""


Deliver = Callable[[Sequence[bytes]], Awaitable[Outcome]]
"""Takes EVE lines, oldest first; one that raises is taken to have refused them."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How many lines and bytes go together, and how long to wait between attempts, in seconds.

    ``ahead`` is how many more are read from disk at once, and so may be handed over twice.
    """

    batch: int = 1
    ahead: int = 0
    batch_bytes: int = 1 << 20
    first_retry: float = 0.25
    last_retry: float = 60.0
    drain: float = 2.0


class SpooledSink:
    """A sink that keeps events in a spool and hands them to ``deliver``.

    Lines that are refused together are tried one by one; one that is refused ``ATTEMPTS`` times
    is given up, counted in ``refused`` and logged, so that it does not hold up all that follow.
    """

    def __init__(
        self,
        name: str,
        spool: Spool,
        deliver: Deliver,
        *,
        pace: Pace = Pace(),
        release: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.trouble = ""
        self.delivered = 0
        self.refused = 0
        self._name = name
        self._spool = spool
        self._deliver = deliver
        self._pace = pace
        self._release = release
        self._lock = threading.Lock()
        self._arrived = asyncio.Event()
        self._emptied = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to hand over what an earlier run left; the first ``write`` does this too."""
        if self._task is None:
            self._task = asyncio.create_task(self._drain(), name=f"davylamp-{self._name}")

    def counters(self) -> dict[str, int]:
        """Return what became of the events."""
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
        """Give the receiver a last chance; what it does not take stays on disk."""
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), self._pace.drain)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._release is not None:
            await self._release()
        await asyncio.to_thread(self._close)

    async def _drain(self) -> None:
        while True:
            self._arrived.clear()
            try:
                await self._drain_spool()
            except OSError:
                logger.exception("the spool of %s cannot be read; trying again", self._name)
                await asyncio.sleep(self._pace.last_retry)
                continue
            if not self._arrived.is_set():
                self._emptied.set()
            await self._arrived.wait()

    async def _drain_spool(self) -> None:
        lines = await asyncio.to_thread(self._peek)
        while lines:
            for some in batched(lines, self._pace.batch):
                await self._hand_over(some)
            lines = await asyncio.to_thread(self._next)

    async def _hand_over(self, lines: Sequence[bytes]) -> None:
        """Return when the lines were taken or given up."""
        delay, refusals = self._pace.first_retry, 0
        while True:
            outcome = await self._attempt(lines)
            match outcome.fate:
                case Fate.TAKEN:
                    if self.trouble:
                        logger.warning("%s is back, %d to hand over", self._name, len(self._spool))
                    self.trouble = ""
                    self.delivered += len(lines)
                    return
                case Fate.AWAY:
                    before = self.trouble
                    self.trouble = f"{self._name} is away, kept on disk: {outcome.why}"
                    if not before:
                        logger.warning("%s", self.trouble)
                case Fate.REFUSED:
                    self.trouble = ""  # it answers
                    if len(lines) > 1:
                        for line in lines:
                            await self._hand_over((line,))
                        return
                    refusals += 1
                    if refusals == ATTEMPTS:
                        self._give_up(outcome.why)
                        return
                case _ as never:
                    assert_never(never)
            await asyncio.sleep(max(delay, min(outcome.retry_after, self._pace.last_retry)))
            delay = min(delay * 2, self._pace.last_retry)

    async def _attempt(self, lines: Sequence[bytes]) -> Outcome:
        try:
            return await self._deliver(lines)
        except Exception as error:  # noqa: BLE001 - a line of another version, for one
            return Outcome(Fate.REFUSED, repr(error))

    def _give_up(self, why: str) -> None:
        self.refused += 1
        logger.error("%s refused an event %d times, given up: %s", self._name, ATTEMPTS, why)

    # The spool's methods touch the disk, so they run in threads, one at a time.

    def _append(self, line: bytes) -> None:
        with self._lock:
            self._spool.append(line)

    def _peek(self) -> list[bytes]:
        with self._lock:
            return self._spool.peek(self._pace.batch + self._pace.ahead, self._pace.batch_bytes)

    def _next(self) -> list[bytes]:
        with self._lock:
            self._spool.ack()
        return self._peek()

    def _close(self) -> None:
        with self._lock:
            self._spool.close()
