"""Events in the store: published once, and put on the record of the container they name."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

from davylamp import events
from davylamp.attribution import model, scripts
from davylamp.attribution.operation import Argument, Command, Kept, Operation, script
from davylamp.errors import LineageUnavailable

_REPLICAS_MS = 1_000  # less than a command may take at all


@dataclass(frozen=True, slots=True)
class EventOperations(Kept):
    """Every write of events. One counts as recorded when ``replicas`` have it too."""

    def record(self, event: events.AnyEvent) -> Operation[bool]:
        """Publish an event, and tag the container it names; once, however often repeated.

        Says whether that was news. Raises LineageUnavailable when too few replicas have it: what
        the master alone has would go with it. Record it again until it does not raise.
        """
        line = events.encode(event)
        event_id = blake2b(line, digest_size=16).hexdigest()
        return (yield from self._record(event, line, event_id))

    def tag(self, event: events.AlertEvent) -> Operation[bool]:
        """Put an alert on its container's record without publishing it as an event."""
        return (yield from self._record(event, events.encode(event), ""))

    def _record(self, event: events.AnyEvent, line: bytes, event_id: str) -> Operation[bool]:
        keys, keep = self.keys, self.keep
        names = [keys.event_seen(event_id), keys.events]
        arguments: list[Argument] = [line, int(bool(event_id)), keep.events, keep.seen_seconds]
        who = _named_for_sure(event)
        if isinstance(event, events.AlertEvent) and who is not None:
            mark = f"{event.incident_id}/{event.flow_id}/{event.alert.signature_id}"
            names += (
                keys.incidents(who.lifecycle_id),
                keys.incidents_order(who.lifecycle_id),
                keys.container(who.container),
            )
            arguments += (mark, repr(_epoch(event.timestamp)), who.lifecycle_id)
            arguments += (keep.incidents, keep.seconds)
        news, *held = yield (script(scripts.RECORD, names, arguments), *self._replicated())
        if held and int(held[0]) < self.replicas:
            raise LineageUnavailable(
                f"{held[0]} of {self.replicas} replicas have the event; it is kept until they do"
            )
        return bool(news)

    def _replicated(self) -> tuple[Command, ...]:
        """Return what, on the connection of a write, waits until replicas have it."""
        return (("WAIT", self.replicas, _REPLICAS_MS),) if self.replicas else ()


def _named_for_sure(event: events.AnyEvent) -> events.LineageInfo | None:
    """Return whose record an event goes on; a stale guess goes on nobody's."""
    who = event.lineage if isinstance(event, events.AlertEvent) else None
    return who if who and who.lifecycle_id and who.grade != model.Grade.STALE else None


def _epoch(timestamp: str) -> float:
    try:
        return datetime.fromisoformat(timestamp).timestamp()
    except ValueError:
        return 0.0
