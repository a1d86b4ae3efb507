"""Throughput over the last minutes, out of counters that workers report now and then."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from davylamp.api.model import Sample
from davylamp.events import StatsEvent, rfc3339

SLOT_SECONDS = 10.0
SLOTS = 90
MAX_WORKERS = 256
_PATIENCE_SECONDS = 60.0


@dataclass(slots=True)
class _Slot:
    """What was inspected from ``number`` times `SLOT_SECONDS` after the epoch on."""

    number: int
    packets: float = 0.0
    bytes: float = 0.0
    flows: float = 0.0


@dataclass(slots=True)
class Series:
    """The last `SLOTS` slots. A worker's growth is spread over the time since its last report."""

    _slots: deque[_Slot] = field(default_factory=lambda: deque(maxlen=SLOTS))
    _last: dict[str, tuple[float, StatsEvent]] = field(default_factory=dict)

    def take(self, event: StatsEvent) -> None:
        """Take a worker's counters; one that counts anew has been started again."""
        now = datetime.fromisoformat(event.timestamp).timestamp()
        known = self._last.get(event.worker)
        if known is None and len(self._last) >= MAX_WORKERS:
            return
        self._last[event.worker] = (now, event)
        if known is None or event.seconds < known[1].seconds:
            before, grown = now - event.seconds, (event.packets, event.bytes, event.flows)
        else:
            before, old = known
            grown = (
                event.packets - old.packets,
                event.bytes - old.bytes,
                event.flows - old.flows,
            )
        if now > before:
            self._spread(max(before, now - SLOTS * SLOT_SECONDS), now, grown)

    def samples(self, now: float) -> tuple[Sample, ...]:
        """Return means a second of each slot that all have reported on, oldest first.

        Who has said nothing for a minute before ``now`` is not waited for.
        """
        told = [at for at, _ in self._last.values() if now - at < _PATIENCE_SECONDS]
        current = int(min(told, default=now) // SLOT_SECONDS)
        found = {slot.number: slot for slot in self._slots}
        first = min(found, default=current)
        return tuple(
            Sample(
                at=rfc3339(number * SLOT_SECONDS),
                packets=round(slot.packets / SLOT_SECONDS, 2),
                bytes=round(slot.bytes / SLOT_SECONDS, 2),
                flows=round(slot.flows / SLOT_SECONDS, 3),
            )
            for number in range(max(first, current - SLOTS), current)
            for slot in (found.get(number) or _Slot(number),)
        )

    def _spread(self, start: float, end: float, grown: tuple[int, int, int]) -> None:
        number = int(start // SLOT_SECONDS)
        while (begins := number * SLOT_SECONDS) < end:
            share = (min(end, begins + SLOT_SECONDS) - max(start, begins)) / (end - start)
            slot = self._slot(number)
            slot.packets += grown[0] * share
            slot.bytes += grown[1] * share
            slot.flows += grown[2] * share
            number += 1

    def _slot(self, number: int) -> _Slot:
        for slot in reversed(self._slots):
            if slot.number == number:
                return slot
        fresh = _Slot(number)
        if self._slots and number < self._slots[-1].number:
            return fresh  # older than what is kept in order: it goes on no record
        self._slots.append(fresh)
        return fresh
