"""What is done to shared blocks in Redis, as operations that either executor runs.

See `davylamp.attribution.operations` for what an operation is. Every write compares before it sets
and publishes the change in the same step: a verdict from before a release does not undo it, however
late it comes, and one that ends sooner than what is there already changes nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import batched
from typing import Self

from msgspec.structs import replace

from davylamp.attribution.operation import Operation, read_changes
from davylamp.attribution.operations import Operations
from davylamp.attribution.replies import readable, text
from davylamp.blocks import model
from davylamp.blocks.keys import BlockKeys, BlockRetention, Table
from davylamp.blocks.model import (
    Change,
    EndpointBlock,
    EndpointChange,
    Quarantine,
    QuarantineChange,
    Report,
    UndoChange,
)

PUT = """
-- Write a record if it says more than what is there, and publish the change.
-- KEYS: records, order, places, changes
-- ARGV: id, record, change, at, until, released or '0', needed until, now, keep, keep changes
local over = redis.call('ZRANGE', KEYS[2], '-inf', '(' .. ARGV[8], 'BYSCORE', 'LIMIT', 0, 64)
for _, id in ipairs(over) do
  redis.call('ZREM', KEYS[2], id)
  redis.call('HDEL', KEYS[1], id)
  redis.call('HDEL', KEYS[3], id)
end
local fine, was = pcall(cjson.decode, redis.call('HGET', KEYS[1], ARGV[1]) or '{}')
if not fine or type(was) ~= 'table' then was = {} end
local released, ends = tonumber(was['released']) or 0, tonumber(was['until']) or 0
if ARGV[6] == '0' then
  if released >= tonumber(ARGV[4]) then return 0 end
  if released == 0 and ends >= tonumber(ARGV[5]) then return 0 end
elseif released >= tonumber(ARGV[6]) then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[7], ARGV[1])
local excess = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[9])
if excess > 0 then
  for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, excess - 1)) do
    redis.call('ZREM', KEYS[2], id)
    redis.call('HDEL', KEYS[1], id)
    redis.call('HDEL', KEYS[3], id)
  end
end
local place = redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[10], '*', 'change', ARGV[3])
redis.call('HSET', KEYS[3], ARGV[1], place)
return 1
"""

REPORT = """
-- Note how far a gateway is; forget those that have been silent for long.
-- KEYS: gateways, order; ARGV: name, report, at, oldest, keep
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
local gone = redis.call('ZRANGE', KEYS[2], '-inf', '(' .. ARGV[4], 'BYSCORE', 'LIMIT', 0, 64)
if #gone == 0 and redis.call('ZCARD', KEYS[2]) > tonumber(ARGV[5]) then
  gone = redis.call('ZRANGE', KEYS[2], 0, 0)
end
for _, name in ipairs(gone) do
  redis.call('ZREM', KEYS[2], name)
  redis.call('HDEL', KEYS[1], name)
end
return 1
"""

_BATCH = 512
ALIVE_SECONDS = 15.0
"""A gateway that has not reported for so long is not counted as having anything in force."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A block on record, and the gateways whose kernels are known to have it."""

    block: EndpointBlock
    gateways: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of the stream, and where the reader is now."""

    last_id: str
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class BlockOperations:
    """Every read and write of shared blocks. ``now`` is seconds since the epoch."""

    keys: BlockKeys = field(default_factory=BlockKeys)
    keep: BlockRetention = field(default_factory=BlockRetention)

    @classmethod
    def beside(cls, lineage: Operations) -> Self:
        """Return the operations for where lineage is kept: on a Cluster, in its one slot."""
        return cls(keys=BlockKeys(lineage.keys.prefix))

    # -- writes -----------------------------------------------------------------------------

    def put(self, block: EndpointBlock, now: float) -> Operation[bool]:
        """Have an endpoint refused everywhere; say whether that changed anything."""
        change = EndpointChange(block=block)
        return (yield from self._put(self.keys.endpoints, block.endpoint, block, change, now))

    def release(self, endpoint: str, by: str, now: float) -> Operation[EndpointBlock]:
        """Have an endpoint refused nowhere any more; return its record, released."""
        [raw] = yield (("HGET", self.keys.endpoints.records, endpoint),)
        known = next(readable([raw], model.decode_block), None)
        known = known or EndpointBlock(endpoint=endpoint, at=now, until=now)
        released = replace(known, released=now, released_by=by)
        yield from self.put(released, now)
        return released

    def confine(self, quarantine: Quarantine, now: float) -> Operation[bool]:
        """Have what a lifecycle sends dropped everywhere; say whether that changed anything."""
        change = QuarantineChange(quarantine=quarantine)
        name, table = quarantine.lifecycle_id, self.keys.quarantines
        return (yield from self._put(table, name, quarantine, change, now))

    def free(self, lifecycle_id: str, by: str, now: float) -> Operation[bool]:
        """End a lifecycle's quarantine; say whether it was in one."""
        [raw] = yield (("HGET", self.keys.quarantines.records, lifecycle_id),)
        known = next(readable([raw], model.decode_quarantine), None)
        if known is None or not known.stands(now):
            return False
        return (yield from self.confine(replace(known, released=now, released_by=by), now))

    def ask_to_undo(self, gateway: str) -> Operation[None]:
        """Tell a gateway that it is asked to undo something."""
        line = model.encode(UndoChange(gateway=gateway))
        limit = self.keep.changes
        yield (("XADD", self.keys.changes, "MAXLEN", "~", limit, "*", "change", line),)

    def report(self, report: Report) -> Operation[None]:
        """Note how far a gateway is."""
        keys, keep = self.keys, self.keep
        oldest = repr(report.at - keep.gateway_seconds)
        arguments = (report.name, model.encode(report), repr(report.at), oldest, keep.gateways)
        yield (("EVAL", REPORT, 2, keys.gateways, keys.gateways_order, *arguments),)

    # -- reads ------------------------------------------------------------------------------

    def position(self) -> Operation[str]:
        """Return the end of the stream of changes, to read on from after a load."""
        [last] = yield (("XREVRANGE", self.keys.changes, "+", "-", "COUNT", 1),)
        return text(last[0][0]) if last else "0-0"

    def load(self) -> Operation[list[Change]]:
        """Return all that is on record, released or not, as changes."""
        blocks = yield from self._all(self.keys.endpoints, model.decode_block)
        quarantines = yield from self._all(self.keys.quarantines, model.decode_quarantine)
        return [
            *(EndpointChange(block=one) for one in blocks),
            *(QuarantineChange(quarantine=one) for one in quarantines),
        ]

    def changes(self, after: str, block: float, count: int) -> Operation[Read]:
        """Wait at most ``block`` seconds for changes after a position; return the new one."""
        last, raws = yield from read_changes(self.keys.changes, after, block, count)
        return Read(last, tuple(readable(raws, model.decode_change)))

    def listing(self, now: float) -> Operation[list[Standing]]:
        """Return the blocks that stand, the newest first, with who has each in force."""
        blocks = yield from self._all(self.keys.endpoints, model.decode_block)
        standing = [one for one in blocks if one.stands(now)]
        [told] = yield (("HGETALL", self.keys.gateways),)
        reports = list(readable(dict(told).values(), model.decode_report))
        alive = [one for one in reports if one.enforcing and now - one.at <= ALIVE_SECONDS]
        found: list[Standing] = []
        for some in batched(standing, _BATCH):
            names = [("HGET", self.keys.endpoints.places, one.endpoint) for one in some]
            places = yield names
            found += [
                Standing(one, _in_force(one, text(place or b""), alive))
                for one, place in zip(some, places, strict=True)
            ]
        return sorted(found, key=lambda one: one.block.at, reverse=True)

    # -- parts ------------------------------------------------------------------------------

    def _put(
        self,
        table: Table,
        name: str,
        record: EndpointBlock | Quarantine,
        change: Change,
        now: float,
    ) -> Operation[bool]:
        keep = self.keep
        needed = record.until
        if record.released:
            needed = max(needed, record.released + keep.released_seconds)
        names = (table.records, table.order, table.places, self.keys.changes)
        arguments = (
            *(name, model.encode(record), model.encode(change)),
            *(repr(record.at), repr(record.until), repr(record.released or 0)),
            *(repr(needed), repr(now), keep.records, keep.changes),
        )
        [done] = yield (("EVAL", PUT, len(names), *names, *arguments),)
        return bool(done)

    def _all[T](self, table: Table, decode: Callable[[bytes], T]) -> Operation[list[T]]:
        [ids] = yield (("ZRANGE", table.order, 0, -1),)
        found: list[T] = []
        for some in batched(ids, _BATCH):
            raws = yield [("HGET", table.records, one) for one in some]
            found += readable(raws, decode)
        return found


def _in_force(block: EndpointBlock, place: str, alive: Sequence[Report]) -> tuple[str, ...]:
    at = _place(place)
    return tuple(
        sorted(
            one.name
            for one in alive
            if (one.shares or block.by)
            and at is not None
            and (_place(one.position) or (0, 0)) >= at
        )
    )


def _place(stream_id: str) -> tuple[int, int] | None:
    first, _, second = stream_id.partition("-")
    return (int(first), int(second)) if first.isdigit() and second.isdigit() else None
