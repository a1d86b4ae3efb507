"""From a worker's alert to an event with a name on it.

An alert waits here for a moment, so that lineage that was on its way when the packet was judged is
there when it is asked. The verdict was carried out long before; nothing is held up by this.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from datetime import datetime

import msgspec

from davylamp.attribution.table import LineageTable
from davylamp.events import AlertEvent
from davylamp.incident import IncidentBook

SETTLE_SECONDS = 0.25
CAPACITY = 10_000


class AlertDesk:
    """Attributes alerts, files them under an incident, and passes them on in order.

    ``clock`` gives seconds since the epoch. At most ``CAPACITY`` alerts wait; one more makes the
    oldest go on at once.
    """

    def __init__(
        self,
        table: LineageTable,
        publish: Callable[[AlertEvent], None],
        clock: Callable[[], float],
    ) -> None:
        self._table = table
        self._publish = publish
        self._clock = clock
        self._book = IncidentBook()
        self._waiting: deque[tuple[float, AlertEvent]] = deque()
        self._arrived = asyncio.Event()

    def take(self, alert: AlertEvent) -> None:
        """Take an alert from a worker."""
        self._waiting.append((self._clock() + SETTLE_SECONDS, alert))
        if len(self._waiting) > CAPACITY:
            self._pass_on()
        self._arrived.set()

    async def run(self) -> None:
        """Pass alerts on as they fall due, until cancelled; then pass on the rest."""
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                if not self._waiting:
                    self._arrived.clear()
                    await self._arrived.wait()
                delay = self._waiting[0][0] - self._clock()
                if delay > 0:
                    await asyncio.sleep(min(delay, SETTLE_SECONDS))
                else:
                    self._pass_on()
        while self._waiting:
            self._pass_on()

    def _pass_on(self) -> None:
        _, alert = self._waiting.popleft()
        now = self._clock()
        opened = datetime.fromisoformat(alert.flow_start).timestamp()
        lineage = self._table.attribute(alert.src_ip, opened, now).info()
        attributed = msgspec.structs.replace(alert, lineage=lineage)
        self._publish(self._book.file(attributed, now))
