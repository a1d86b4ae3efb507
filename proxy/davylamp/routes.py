"""Whether both halves of connections come by here: asked of the kernel's counters now and then.

Strategy. The kernel counts connections seen whole and by halves (`davylamp.enforcement.halves`).
One half now and then is somebody's forged packet; many of them, and a good part of all that begin,
is a road that goes round this gateway. Then it says so until none is left in the window.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from davylamp.enforcement import halves
from davylamp.enforcement.kernel import CounterValue, Kernel
from davylamp.errors import KernelError

WINDOW_SECONDS = 300.0
LEAST = 20
"""So many halves within the window, and one in ``ONE_IN`` of what begins, make a road of it."""
ONE_IN = 10
_LOOK_SECONDS = 5.0
_READINGS = int(WINDOW_SECONDS / _LOOK_SECONDS) + 1

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """Connections by what of them was seen: both halves, the originator's or responder's alone."""

    both: int = 0
    originator: int = 0
    responder: int = 0

    @classmethod
    def of(cls, counters: Mapping[str, CounterValue]) -> Self:
        """Read the table's counters."""
        return cls(*(counters[name].packets for name in halves.COUNTERS))

    def since(self, before: "Seen") -> "Seen":
        """Return what was added; all of it where the kernel has begun to count anew."""
        parts = (
            (self.both, before.both),
            (self.originator, before.originator),
            (self.responder, before.responder),
        )
        if any(now < then for now, then in parts):
            return self
        return Seen(*(now - then for now, then in parts))

    def plus(self, more: "Seen") -> "Seen":
        """Return both together."""
        return Seen(
            self.both + more.both,
            self.originator + more.originator,
            self.responder + more.responder,
        )


class Window:
    """What was seen of late, and what that says of the roads; knows no clock."""

    def __init__(self) -> None:
        self.total = Seen()
        self._last: Seen | None = None
        self._added: deque[tuple[float, Seen]] = deque(maxlen=_READINGS)

    def take(self, reading: Seen, now: float) -> None:
        """Take the kernel's counts at a time in seconds; the first is where counting begins.

        What was half way when the rules were put there is so left out.
        """
        if self._last is not None:
            added = reading.since(self._last)
            self.total = self.total.plus(added)
            self._added.append((now, added))
        self._last = reading
        while self._added and now - self._added[0][0] >= WINDOW_SECONDS:
            self._added.popleft()

    def problem(self) -> str:
        """Say that connections go round the gateway, and what to do; nothing while they do not."""
        seen = Seen()
        for _, added in self._added:
            seen = seen.plus(added)
        half = seen.originator + seen.responder
        whole = half + seen.both
        if half < LEAST or half * ONE_IN < whole:
            return ""
        missing = (
            (seen.originator, "no answer of {} came by here"),
            (seen.responder, "only the answer of {} did"),
        )
        told = ", ".join(words.format(count) for count, words in missing if count)
        return (
            f"asymmetric routes: of {whole} TCP connections in the last "
            f"{WINDOW_SECONDS / 60:.0f} min: {told}; lead both ways through one gateway "
            "(docs/deployment.md#asymmetric-routes)"
        )


class RouteWatch:
    """The task: ``run()`` until cancelled. ``total`` and ``problem`` are as of the last look."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._window = Window()
        self.problem = ""

    @property
    def total(self) -> Seen:
        """What was seen since the gateway's start."""
        return self._window.total

    async def run(self) -> None:
        """Look every few seconds, and log when what is to be said changes its nature."""
        while True:
            try:
                self._look(Seen.of(await asyncio.to_thread(self._kernel.counters)))
            except KernelError as error:  # somebody took the table away; others say so, too
                logger.debug("the kernel's counters cannot be read: %s", error)
            await asyncio.sleep(_LOOK_SECONDS)

    def _look(self, reading: Seen) -> None:
        self._window.take(reading, time.monotonic())
        before, self.problem = self.problem, self._window.problem()
        if self.problem and not before:
            logger.warning("%s", self.problem)
        elif before and not self.problem:
            logger.info("both halves of connections come by here again")
