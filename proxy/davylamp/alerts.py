"""From a worker's alert to an event with a name on it.

An alert waits here until lineage is known up to the moment its flow opened, so that an address
that changed hands just before is never put down to the one who gave it up. Where the lineage store
is silent the wait ends after ``PATIENCE_SECONDS``, and the name that is given says that it is
stale. The verdict was carried out long before; nothing is held up by this.
"""

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from davylamp.attribution.naming import Namer
from davylamp.attribution.table import LineageTable
from davylamp.events import AlertEvent, LineageEvent
from davylamp.incidents.book import IncidentBook
from davylamp.incidents.folding import subject

SETTLE_SECONDS = 0.1
"""What is written at the same moment as the packet was judged is waited for this long."""
PATIENCE_SECONDS = 3.0
"""A store that works confirms what it has about twice a second; one that is silent for so long does
not."""
CAPACITY = 10_000
_TICK = 0.05
_LAST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An alert, when it came, and when its flow opened, in seconds since the epoch."""

    alert: AlertEvent
    arrived: float
    opened: float


class AlertDesk:
    """Attributes alerts, files them under an incident, and passes them on in order.

    ``clock`` gives seconds since the epoch. At most ``CAPACITY`` alerts wait; one more makes the
    oldest go on at once.
    """

    def __init__(
        self,
        table: LineageTable,
        namer: Namer,
        publish: Callable[[AlertEvent], None],
        clock: Callable[[], float],
    ) -> None:
        self._table = table
        self._namer = namer
        self._publish = publish
        self._clock = clock
        self._book = IncidentBook()
        self._flows = FlowBook()
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()

    def take(self, worker: str, alert: AlertEvent) -> None:
        """Take an alert from the worker of that name."""
        now = self._clock()
        fresh = self._flows.file(worker, alert, now)
        if fresh is None:
            return
        opened = datetime.fromisoformat(fresh.flow_start).timestamp()
        self._waiting.append(_Waiting(fresh, now, opened))
        self._namer.settled(fresh)  # what has to be asked is asked now
        if len(self._waiting) > CAPACITY:
            self._pass_on()
        self._arrived.set()

    def learn(self, event: LineageEvent) -> None:
        """Take in whose an alert turned out to be: what comes next goes to the same incident."""
        self._book.learn(subject(event.ip, event.lineage), event.incident_id, self._clock())

    async def run(self) -> None:
        """Pass alerts on as they fall due, until cancelled; then pass on the rest, and soon."""
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                if not self._waiting:
                    self._arrived.clear()
                    await self._arrived.wait()
                await self._step()
        end = self._clock() + _LAST_SECONDS
        while self._waiting and self._clock() < end:
            await self._step()
        while self._waiting:
            self._pass_on()

    async def _step(self) -> None:
        if self._due(self._waiting[0]):
            self._pass_on()
        else:
            await asyncio.sleep(_TICK)

    def _due(self, one: _Waiting) -> bool:
        waited = self._clock() - one.arrived
        known = self._table.fresh_at >= one.opened
        if waited >= PATIENCE_SECONDS:
            return True
        return known and waited >= SETTLE_SECONDS and self._namer.settled(one.alert)

    def _pass_on(self) -> None:
        one = self._waiting.popleft()
        now = self._clock()
        lineage = self._namer.attribute(one.alert, one.opened).info()
        self._publish(self._book.file(msgspec.structs.replace(one.alert, lineage=lineage), now))


@dataclass(slots=True)
class _Seen:
    """One flow that was alerted on: under which id, when last, and by which signatures.

    ``flow_ids`` is what each worker that saw it calls it.
    """

    flow_id: int
    flow_start: str
    last: float
    signatures: set[str] = field(default_factory=set)
    flow_ids: dict[str, int] = field(default_factory=dict)


class FlowBook:
    """Makes one flow of what two workers see of it: the queue's worker, and the sampler.

    Each alerts on a flow once for each signature and gives it an id by when it first saw it; who
    comes second within ``window`` seconds adds only what is new, under the first one's id. The
    same worker with another flow on the same ports has seen another connection. At most
    ``capacity`` flows are remembered, longest silent forgotten first.
    """

    def __init__(self, window: float = 300.0, capacity: int = 10_000) -> None:
        self._window = window
        self._capacity = capacity
        self._flows: OrderedDict[str, _Seen] = OrderedDict()

    def file(self, worker: str, alert: AlertEvent, now: float) -> AlertEvent | None:
        """Return the alert under its flow's one id, or None if that flow had it already."""
        seen = self._flows.pop(alert.community_id, None)
        same = seen is not None and now - seen.last <= self._window
        if seen is None or not same or self._another(seen, worker, alert):
            seen = _Seen(alert.flow_id, alert.flow_start, now)
        seen.flow_ids[worker] = alert.flow_id
        self._flows[alert.community_id] = seen
        while len(self._flows) > self._capacity:
            self._flows.popitem(last=False)
        seen.last = now
        if alert.alert.signature_id in seen.signatures:
            return None
        seen.signatures.add(alert.alert.signature_id)
        return msgspec.structs.replace(alert, flow_id=seen.flow_id, flow_start=seen.flow_start)

    @staticmethod
    def _another(seen: _Seen, worker: str, alert: AlertEvent) -> bool:
        return seen.flow_ids.get(worker, alert.flow_id) != alert.flow_id
