"""What becomes of events on their way from workers to sinks: named, counted, shown, told.

Alerts are given a name and an incident before they are told, and looked at again afterwards; all
else goes straight on.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from davylamp.alerts import AlertDesk
from davylamp.attribution.hosts.asking import HostNamer
from davylamp.attribution.table import LineageTable
from davylamp.events import AlertEvent, AnyEvent, LineageEvent, StatsEvent, TlsEvent
from davylamp.latecomers import Latecomers

_EARLY = 10_000

type Taker = Callable[[AnyEvent], None]


class Relay:
    """Takes events from workers, and hands each that is told to every taker, in their order.

    ``clock`` gives seconds since the epoch. ``late_seconds`` after it was told an alert may still
    be attributed better. What is told before anybody takes it is kept for who comes, up to a bound.
    """

    def __init__(
        self,
        table: LineageTable,
        namer: HostNamer,
        clock: Callable[[], float],
        late_seconds: float,
    ) -> None:
        self._takers: list[Taker] = []
        self._early: deque[AnyEvent] = deque(maxlen=_EARLY)
        self._namer = namer
        self._desk = AlertDesk(table, namer, self.publish, clock)
        self._late = Latecomers(namer, self.publish, clock, late_seconds)

    def hand_to(self, *takers: Taker) -> None:
        """Have these take what is told from now on, and what nobody took so far."""
        self._takers += takers
        early, self._early = self._early, deque(maxlen=_EARLY)
        for event in early:
            for taker in takers:
                taker(event)

    def publish(self, event: AnyEvent) -> None:
        """Tell an event."""
        if not self._takers:
            self._early.append(event)
        for taker in self._takers:
            taker(event)
        match event:
            case AlertEvent():
                self._late.take(event)
            case LineageEvent() if event.incident_id:
                self._desk.learn(event)
            case _:
                pass

    def from_worker(self, worker: str, event: AnyEvent) -> None:
        """Take an event from the worker of that name."""
        match event:
            case AlertEvent():
                self._desk.take(worker, event)
            case StatsEvent() | LineageEvent() | TlsEvent():
                self.publish(event)
            case _:
                pass  # actions are the gateway's own

    def heard(self) -> None:
        """Note that lineage has changed."""
        self._late.heard()

    async def run(self) -> None:
        """Tell alerts as they fall due, until cancelled; then the rest, and soon."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._namer.run(self.heard))
            group.create_task(self._desk.run())
            group.create_task(self._late.run())
