"""The log of actions in Redis: each is claimed before it is done, so that it is done once.

See `davylamp.attribution.operations` for what an operation is. Whoever claims an action has it
until a time; one that was begun and not ended by then is taken up again by the gateway that began
it. After a day without it any gateway may say that it failed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import batched
from typing import Self

from msgspec.structs import replace

from davylamp.actions import model
from davylamp.actions.keys import ActionKeys, ActionRetention
from davylamp.actions.model import LASTING, Record, Status
from davylamp.attribution.operation import Operation
from davylamp.attribution.operations import Operations
from davylamp.attribution.replies import readable

CLAIM = """
-- Begin an action, unless somebody has. What would only have been done may still be, and what named
-- fewer candidates is done again, but for what a person released. Who asks again because the answer
-- was lost finds its own record, and has it.
-- KEYS: records, order, open; ARGV: id, record, at, until, keep
local old = redis.call('HGET', KEYS[1], ARGV[1])
if old == ARGV[2] then return 1 end
local function candidates(record)
  local planned = type(record['planned']) == 'table' and record['planned'] or {}
  return type(planned['candidates']) == 'table' and #planned['candidates'] or 0
end
if old then
  local fine, was = pcall(cjson.decode, old)
  local new = cjson.decode(ARGV[2])
  if not fine or type(was) ~= 'table' or new['status'] == 'would' then return 0 end
  local over = was['status'] == 'undoing' or was['status'] == 'undone'
  local more = not over and candidates(new) > candidates(was)
  if was['status'] ~= 'would' and not more then return 0 end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
if ARGV[4] ~= '' then redis.call('ZADD', KEYS[3], ARGV[4], ARGV[1]) end
local excess = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[5])
if excess > 0 then
  for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, excess - 1)) do
    redis.call('ZREM', KEYS[2], id)
    redis.call('ZREM', KEYS[3], id)
    redis.call('HDEL', KEYS[1], id)
  end
end
return 1
"""

CHANGE = """
-- Change an action's record if it is still as it was read, or was changed so by a command whose
-- answer was lost; with an end of its time it stays open.
-- KEYS: records, open; ARGV: id, expected, record, until or ''
local is = redis.call('HGET', KEYS[1], ARGV[1])
if is ~= ARGV[2] and is ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
if ARGV[4] ~= '' then redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
else redis.call('ZREM', KEYS[2], ARGV[1]) end
return 1
"""

ABANDONED_SECONDS = 86_400.0
"""Whose time was over for so long was begun by a gateway that does not come back."""
_BATCH = 256


@dataclass(frozen=True, slots=True)
class ActionOperations:
    """Every read and write of the log. ``now`` is seconds since the epoch."""

    keys: ActionKeys = field(default_factory=ActionKeys)
    keep: ActionRetention = field(default_factory=ActionRetention)

    @classmethod
    def beside(cls, lineage: Operations) -> Self:
        """Return the operations for where lineage is kept: on a Cluster, in its one slot."""
        return cls(keys=ActionKeys(lineage.keys.prefix))

    def claim(self, record: Record, until: float) -> Operation[bool]:
        """Begin an action; False where it was begun before, unless by this very record.

        One that names more candidates than the one before is begun again in its place.
        """
        keys = self.keys
        names = (keys.records, keys.order, keys.open)
        ends = repr(until) if record.status is Status.RUNNING else ""
        line = model.encode(record)
        arguments = (record.planned.id, line, repr(record.at), ends, self.keep.records)
        [done] = yield (("EVAL", CLAIM, len(names), *names, *arguments),)
        return bool(done)

    def change(self, before: Record, after: Record, until: float | None = None) -> Operation[bool]:
        """Put a record in the place of another; False where that has changed meanwhile.

        With ``until`` it is in hand, until then.
        """
        ends = repr(until) if until is not None else ""
        name = after.planned.id
        arguments = (name, model.encode(before), model.encode(after), ends)
        [done] = yield (("EVAL", CHANGE, 2, self.keys.records, self.keys.open, *arguments),)
        return bool(done)

    def get(self, action_id: str) -> Operation[Record | None]:
        """Return an action's record, or None."""
        [raw] = yield (("HGET", self.keys.records, action_id),)
        return next(readable([raw], model.decode), None)

    def due(self, now: float, gateway: str) -> Operation[list[Record]]:
        """Return the actions of a gateway that are not over although their time is."""
        found = yield from self._overdue(now)
        return [one for one in found if one.gateway == gateway]

    def abandoned(self, now: float, gateway: str) -> Operation[list[Record]]:
        """Return the actions of all gateways but that one whose time was over long ago."""
        found = yield from self._overdue(now - ABANDONED_SECONDS)
        return [one for one in found if one.gateway != gateway]

    def _overdue(self, now: float) -> Operation[list[Record]]:
        """Return all, for those of gateways that never come back may come first."""
        limits = ("LIMIT", 0, self.keep.records)
        [ids] = yield (("ZRANGE", self.keys.open, "-inf", repr(now), "BYSCORE", *limits),)
        return (yield from self._read(ids))

    def listing(self) -> Operation[list[Record]]:
        """Return every action on record, the newest first."""
        [ids] = yield (("ZREVRANGE", self.keys.order, 0, self.keep.records - 1),)
        return (yield from self._read(ids))

    def _read(self, ids: Iterable[bytes]) -> Operation[list[Record]]:
        found: list[Record] = []
        for some in batched(ids, _BATCH):
            raws = yield [("HGET", self.keys.records, one) for one in some]
            found += readable(raws, model.decode)
        return found

    def ask_to_undo(self, subject: str, by: str, now: float) -> Operation[list[Record]]:
        """Mark what was done to a subject and lasts as to be undone by a person's wish.

        Of a container's name or id its newest lifecycle is meant that anything was done to. Returns
        the records that were marked.
        """
        lasting = [
            one for one in (yield from self.listing()) if _lasts(one) and one.concerns(subject)
        ]
        marked: list[Record] = []
        for record in lasting:
            planned, newest = record.planned, lasting[0].planned
            meant = subject in {planned.incident_id, planned.lifecycle_id}
            if not meant and planned.lifecycle_id != newest.lifecycle_id:
                continue
            undoing = replace(record, status=Status.UNDOING, memo={**record.memo, "by": by})
            if (yield from self.change(record, undoing, now)):
                marked.append(undoing)
        return marked


def _lasts(record: Record) -> bool:
    """Tell whether there is anything to undo; who was asked before may be asked again."""
    if record.planned.kind not in LASTING:
        return False
    half_done = record.status is Status.FAILED and bool(record.memo)
    return half_done or record.status in {Status.DONE, Status.UNDOING}
