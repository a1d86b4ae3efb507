"""What is done to incidents in Redis, as operations that either executor runs.

See `davylamp.attribution.operations` for what an operation is. Folding is done here, in Python, on
what was read; the script writes it only if nobody has written since, so several gateways may feed
one incident. A repeat of an alert that was folded is known by its content and does nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from itertools import batched
from typing import Any, Self

import msgspec

from davylamp import events
from davylamp.attribution.operation import Argument, Command, Operation
from davylamp.attribution.operations import Operations
from davylamp.attribution.replies import text
from davylamp.errors import LineageUnavailable
from davylamp.incidents import folding, model
from davylamp.incidents.keys import IncidentKeys, IncidentRetention
from davylamp.incidents.model import BOUNDS, Bounds, Incident, Resolution, Status
from davylamp.incidents.recurrence import Earlier, Trait, entry, traits

COMMIT = """
-- Write an incident if nobody has since it was read, and the event has not been folded before.
-- KEYS: incident, chain, digests, index, current, seen, alias; then one for each trait
-- ARGV: expected version, version, json, head, score, id, line or '', current or '', seen or '',
-- alias or '', keep seconds, seen seconds, keep of a trait, first, entry
if (redis.call('HGET', KEYS[1], 'version') or '') ~= ARGV[1] then return 0 end
if ARGV[9] ~= '' and not redis.call('SET', KEYS[6], '1', 'NX', 'EX', ARGV[12]) then return 2 end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'json', ARGV[3], 'head', ARGV[4])
if ARGV[7] ~= '' then
  redis.call('RPUSH', KEYS[2], ARGV[7])
  redis.call('RPUSH', KEYS[3], ARGV[4])
end
redis.call('ZADD', KEYS[4], ARGV[5], ARGV[6])
if ARGV[8] ~= '' then redis.call('SET', KEYS[5], ARGV[6], 'EX', ARGV[11]) end
if ARGV[10] ~= '' then redis.call('SET', KEYS[7], ARGV[6], 'EX', ARGV[11]) end
for i = 1, 3 do redis.call('EXPIRE', KEYS[i], ARGV[11]) end
for i = 8, #KEYS do
  redis.call('ZADD', KEYS[i], ARGV[14], ARGV[15])
  redis.call('ZREMRANGEBYRANK', KEYS[i], 0, -1 - tonumber(ARGV[13]))
  redis.call('EXPIRE', KEYS[i], ARGV[11])
end
return 1
"""

type Known = list[tuple[Trait, tuple[Earlier, ...]]]
"""Who had each trait of an alert before."""

_ATTEMPTS = 32
_BATCH = 256
_SAME_MOMENT = 16


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where an incident is in the order of last alerts: seconds since the epoch, and its id."""

    at: float
    id: str


@dataclass(frozen=True, slots=True)
class Held:
    """An incident as it is stored, with the version to compare."""

    incident: Incident
    version: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """An incident with its events as kept, and the digest of each."""

    incident: Incident
    lines: tuple[bytes, ...]
    digests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IncidentOperations:
    """Every read and write of incidents. ``now`` is seconds since the epoch."""

    keys: IncidentKeys = field(default_factory=IncidentKeys)
    keep: IncidentRetention = field(default_factory=IncidentRetention)
    bounds: Bounds = BOUNDS

    @classmethod
    def beside(cls, lineage: Operations) -> Self:
        """Return the operations for where lineage is kept: on a Cluster, in its one slot."""
        return cls(keys=IncidentKeys(lineage.keys.prefix))

    # -- writes -----------------------------------------------------------------------------

    def record(self, alert: events.AlertEvent) -> Operation[str]:
        """Fold an alert into its incident, once; return that one's id.

        It is the alert's own incident, or one of the same subject that another gateway, or this
        one before it was restarted, had begun. An alert without an incident's id goes nowhere.
        """
        if not alert.incident_id:
            return ""
        line = events.encode(alert)
        found = traits(alert)
        for _ in range(_ATTEMPTS):
            held, known = yield from self._home(alert, found)
            folded = folding.fold(held.incident, alert, line, known, self.bounds)
            alias = alert.incident_id if alert.incident_id != folded.id else ""
            grown = folded.chain_length > held.incident.chain_length
            done = yield from self._commit(
                held.version, folded, line if grown else b"", line, alias, found
            )
            if done:
                return folded.id
        raise _contended(alert.incident_id)

    def resolve(self, incident_id: str, by: str, note: str, now: float) -> Operation[Held | None]:
        """Put an incident to rest; return it, or None where there is no such one.

        One that was put to rest before stays as it is.
        """
        for _ in range(_ATTEMPTS):
            held = yield from self.held(incident_id)
            if held is None or held.incident.status is Status.RESOLVED:
                return held
            resolution = Resolution(
                timestamp=events.rfc3339(now), incident_id=held.incident.id, by=by, note=note
            )
            line = model.encode(resolution)
            incident = folding.resolved(held.incident, resolution, line)
            if (yield from self._commit(held.version, incident, line, b"", "", ())):
                return Held(incident, held.version + 1)
        raise _contended(incident_id)

    def note(self, event: events.ActionEvent) -> Operation[bool]:
        """Put what was done about an incident on its record, once; False where there is no such."""
        line = events.encode(event)
        for _ in range(_ATTEMPTS):
            held = yield from self.held(event.incident_id)
            if held is None:
                return False
            incident = folding.acted(held.incident, event, line, self.bounds)
            if (yield from self._commit(held.version, incident, line, line, "", ())):
                return True
        raise _contended(event.incident_id)

    def attribute(self, event: events.LineageEvent) -> Operation[list[events.AlertEvent]]:
        """Put on an incident's record whose an alert turned out to be, once.

        Returns the alerts that it is about, as they are now known. What the same container does
        next belongs to this incident too, unless it has one of its own.
        """
        line = events.encode(event)
        for _ in range(_ATTEMPTS):
            held = yield from self.held(event.incident_id)
            if held is None:
                return []
            incident = folding.attributed(held.incident, event, line, self.bounds)
            if (yield from self._commit(held.version, incident, line, line, "", ())):
                current = self.keys.current(folding.subject(event.ip, event.lineage))
                yield (("SET", current, incident.id, "EX", self.keep.seconds, "NX"),)
                return (yield from self._about(incident.id, event))
        raise _contended(event.incident_id)

    def exported(self, incident_id: str, manifest_digest: str) -> Operation[None]:
        """Note that a bundle with this manifest was made of an incident."""
        name = self.keys.exports(incident_id)
        yield (
            ("LPUSH", name, manifest_digest),
            ("LTRIM", name, 0, self.keep.exports - 1),
            ("EXPIRE", name, self.keep.seconds),
        )

    # -- reads ------------------------------------------------------------------------------

    def listing(self) -> Operation[list[Incident]]:
        """Return every incident on record, the one with the newest alert first."""
        [ids] = yield (("ZREVRANGE", self.keys.index, 0, self.keep.incidents - 1),)
        found: list[Incident] = []
        for some in batched(ids, _BATCH):
            replies = yield [("HGET", self.keys.incident(text(one)), "json") for one in some]
            found += [one for raw in replies if (one := _readable(raw)) is not None]
        return found

    def page(
        self, after: Place | None, count: int
    ) -> Operation[list[tuple[Place, Incident | None]]]:
        """Return at most ``count`` incidents after a place, newest alert first.

        Each with its own place; None stands for one that cannot be read.
        """
        highest = "+inf" if after is None else repr(after.at)
        # Those of the same microsecond as the place come again, and are told by their ids.
        [found] = yield (
            (
                "ZREVRANGEBYSCORE",
                self.keys.index,
                highest,
                "-inf",
                "WITHSCORES",
                "LIMIT",
                0,
                count + _SAME_MOMENT,
            ),
        )
        places = [Place(float(score), text(name)) for name, score in _pairs(found)]
        places = [one for one in places if after is None or one < after][:count]
        if not places:
            return []
        replies = yield [("HGET", self.keys.incident(one.id), "json") for one in places]
        return list(zip(places, map(_readable, replies), strict=True))

    def versions(self, count: int) -> Operation[dict[str, str]]:
        """Return the versions of the incidents with the newest alerts, as they stand, by id."""
        [ids] = yield (("ZREVRANGE", self.keys.index, 0, count - 1),)
        if not ids:
            return {}
        names = [text(one) for one in ids]
        replies = yield [("HGET", self.keys.incident(one), "version") for one in names]
        return {name: text(raw) for name, raw in zip(names, replies, strict=True) if raw}

    def held(self, incident_id: str) -> Operation[Held | None]:
        """Return an incident by its id or by one that was folded into it."""
        alias, own = yield self._by_id(incident_id)
        return (yield from self._followed(alias, own))

    def look_up(self, incident_id: str) -> Operation[Record | None]:
        """Return an incident with its events."""
        held = yield from self.held(incident_id)
        if held is None:
            return None
        name = held.incident.id
        lines, digests = yield (
            ("LRANGE", self.keys.chain(name), 0, held.incident.chain_length - 1),
            ("LRANGE", self.keys.digests(name), 0, held.incident.chain_length - 1),
        )
        return Record(held.incident, tuple(lines), tuple(text(one) for one in digests))

    def witness(self, incident_id: str, length: int) -> Operation[tuple[str, tuple[str, ...]]]:
        """Return what the store says of a bundle: the digest then, and the manifests exported."""
        digest, manifests = yield (
            ("LINDEX", self.keys.digests(incident_id), max(length - 1, 0)),
            ("LRANGE", self.keys.exports(incident_id), 0, -1),
        )
        return text(digest or b""), tuple(text(one) for one in manifests)

    # -- parts ------------------------------------------------------------------------------

    def _home(
        self, alert: events.AlertEvent, found: Sequence[Trait]
    ) -> Operation[tuple[Held, Known]]:
        """Return the incident that an alert goes to, and who had its traits before.

        All that may be asked for is asked at once: an alert mostly goes to its own incident, or
        begins one, and the way to Redis costs more than the answers.
        """
        alias, own, current, *earlier = yield (
            *self._by_id(alert.incident_id),
            ("GET", self.keys.current(folding.subject_of(alert))),
            *(("ZRANGE", self.keys.trait(one), 0, -1) for one in found),
        )
        known = [
            (trait, tuple(_earlier(members))) for trait, members in zip(found, earlier, strict=True)
        ]
        held = yield from self._followed(alias, own)
        if held is None and current:
            held = yield from self._read(text(current))
            if held is not None and not folding.goes_on(held.incident, alert, self.bounds.window):
                held = None
        return held or Held(folding.opened(alert)), known

    def _about(
        self, incident_id: str, event: events.LineageEvent
    ) -> Operation[list[events.AlertEvent]]:
        """Return the alerts that an attribution is about, with it in place of their own."""
        [lines] = yield (("LRANGE", self.keys.chain(incident_id), 0, -1),)
        found: list[events.AlertEvent] = []
        for raw in lines:
            try:
                alert = msgspec.json.decode(raw, type=events.AlertEvent)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue  # what was done about it, or what another client wrote
            if (alert.flow_id, alert.alert.signature_id) == (event.flow_id, event.signature_id):
                found.append(msgspec.structs.replace(alert, lineage=event.lineage))
        return found

    def _by_id(self, incident_id: str) -> tuple[Command, Command]:
        """Return what asks for the incident that this one was folded into, and for itself."""
        return ("GET", self.keys.alias(incident_id)), self._whole(incident_id)

    def _followed(self, alias: bytes | None, own: Any) -> Operation[Held | None]:
        """Return the incident that both answers lead to."""
        return (yield from self._read(text(alias))) if alias else _held(own)

    def _read(self, incident_id: str) -> Operation[Held | None]:
        [reply] = yield (self._whole(incident_id),)
        return _held(reply)

    def _whole(self, incident_id: str) -> Command:
        return ("HMGET", self.keys.incident(incident_id), "version", "json")

    def _commit(  # noqa: PLR0913, PLR0917 - a commit is all of these
        self,
        version: int,
        incident: Incident,
        line: bytes,
        event: bytes,
        alias: str,
        found: Sequence[Trait],
    ) -> Operation[bool]:
        keys, keep = self.keys, self.keep
        seen = blake2b(event, digest_size=16).hexdigest() if event else ""
        names = [
            keys.incident(incident.id),
            keys.chain(incident.id),
            keys.digests(incident.id),
            keys.index,
            keys.current(incident.subject),
            keys.seen(seen),
            keys.alias(alias),
            *(keys.trait(one) for one in found),
        ]
        arguments: tuple[Argument, ...] = (
            str(version) if version else "",
            str(version + 1),
            model.encode(incident),
            incident.chain_head,
            repr(_epoch(incident.last_seen)),
            incident.id,
            line,
            "1" if event else "",
            seen,
            alias,
            keep.seconds,
            keep.seen_seconds,
            keep.trait,
            repr(_epoch(incident.first_seen)),
            model.encode(entry(incident)),
        )
        done, count = yield (
            ("EVAL", COMMIT, len(names), *names, *arguments),
            ("ZCARD", keys.index),
        )
        if int(count) > keep.incidents:
            yield from self._trim(int(count) - keep.incidents)
        return bool(done)

    def _trim(self, excess: int) -> Operation[None]:
        """Forget so many of the incidents that have been silent longest."""
        [ids] = yield (("ZRANGE", self.keys.index, 0, excess - 1),)
        keys = self.keys
        for name in map(text, ids):
            gone = (keys.incident(name), keys.chain(name), keys.digests(name), keys.exports(name))
            yield (("DEL", *gone), ("ZREM", keys.index, name))


def _contended(incident_id: str) -> LineageUnavailable:
    return LineageUnavailable(f"{incident_id} is being changed by too many writers; try again")


def _held(reply: Any) -> Held | None:
    version, raw = reply
    incident = _readable(raw)
    return None if incident is None else Held(incident, int(version or 0))


def _readable(raw: Any) -> Incident | None:
    """Return what can be read of what Redis holds; another client may have written anything."""
    if raw is None:
        return None
    try:
        return model.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _earlier(members: Sequence[bytes]) -> list[Earlier]:
    found: list[Earlier] = []
    for raw in members:
        try:
            found.append(msgspec.json.decode(raw, type=Earlier))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return found


def _pairs(found: Any) -> list[tuple[Any, Any]]:
    """Return members with their scores, as RESP2 and as redis-py's callbacks give them."""
    if found and isinstance(found[0], tuple | list):
        return [(one[0], one[1]) for one in found]
    return list(zip(found[::2], found[1::2], strict=True))


def _epoch(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()
