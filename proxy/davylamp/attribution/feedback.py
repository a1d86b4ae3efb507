"""What a trainer is told about its rollouts: which of them it should not learn from, and why.

Strategy. Each incident puts a mark on the rollout that it happened in, once for each tool call. A
rollout is valid while it has no mark: a mark that is taken back (a false alarm) leaves those of
other incidents. Marks, the record that sums them up and the stream of news change in one script.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import msgspec

from davylamp.attribution.keys import Keys
from davylamp.attribution.operation import Operation
from davylamp.attribution.operations import Operations
from davylamp.attribution.replies import text
from davylamp.events import Struct

MARK = """
-- Put a mark on a rollout, or take those of an incident back, and tell the trainer.
-- KEYS: rollout, marks, feedback
-- ARGV: mark, fields (a JSON list of names and values) or '', news, keep marks, keep news, keep
-- seconds, released at, how many candidates; without fields, marks that begin with ``mark`` are
-- taken back. A mark that names more candidates takes the place of the one before, on record too.
local function record(fields)
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], unpack(cjson.decode(fields)))
end
local function candidates(fields)
  local list = cjson.decode(fields)
  for i = 1, #list, 2 do
    if list[i] == 'candidates' then return #cjson.decode(list[i + 1]) end
  end
  return 0
end
if ARGV[2] ~= '' then
  local old = redis.call('HGET', KEYS[2], ARGV[1])
  if old then
    if tonumber(ARGV[8]) <= candidates(old) then return 0 end
    local shown = redis.call('HMGET', KEYS[1], 'incident_id', 'tool_call_id')
    if (shown[1] or '') .. '/' .. (shown[2] or '') == ARGV[1] then record(ARGV[2]) end
  elseif redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[4]) then
    return 0
  end
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
  if redis.call('HLEN', KEYS[2]) == 1 then record(ARGV[2]) end
else
  local left, gone = nil, 0
  local all = redis.call('HGETALL', KEYS[2])
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, #ARGV[1]) == ARGV[1] then
      redis.call('HDEL', KEYS[2], all[i])
      gone = gone + 1
    else
      left = all[i + 1]
    end
  end
  if gone == 0 then return 0 end
  if left then
    record(left)
    redis.call('EXPIRE', KEYS[1], ARGV[6])
    return 1
  end
  redis.call('HSET', KEYS[1], 'valid', 'true', 'released_at', ARGV[7])
end
redis.call('EXPIRE', KEYS[1], ARGV[6])
redis.call('EXPIRE', KEYS[2], ARGV[6])
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[5], '*', 'verdict', ARGV[3])
return 1
"""

GROUP = """
-- Make a consumer group, unless there is one of that name. KEYS: feedback; ARGV: group, from
local answer = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], ARGV[2], 'MKSTREAM')
if type(answer) == 'table' and answer.err and not string.find(answer.err, 'BUSYGROUP') then
  return answer
end
return 1
"""

_MARKS = 64


class RolloutVerdict(Struct, frozen=True, kw_only=True):
    """Whether a rollout may be learned from; ``at`` is in seconds since the epoch.

    ``tool_call_id`` is what broke the rules, where exactly one can have; else ``candidates`` are
    those that were running. ``step`` is the tool call's, or the container's.
    """

    run_id: str
    rollout_id: str
    valid: bool
    at: float
    reason: str = ""
    incident_id: str = ""
    tool_call_id: str = ""
    candidates: tuple[str, ...] = ()
    step: int | None = None
    gateway: str = ""


@dataclass(frozen=True, slots=True)
class News:
    """A verdict as it was read from the stream; ``place`` is what to acknowledge."""

    place: str
    verdict: RolloutVerdict | None


@dataclass(frozen=True, slots=True)
class FeedbackOperations:
    """Every read and write of verdicts on rollouts."""

    keys: Keys = field(default_factory=Keys)
    news: int = 100_000
    seconds: int = 30 * 24 * 3600

    @classmethod
    def beside(cls, lineage: Operations) -> Self:
        """Return the operations for where lineage is kept: on a Cluster, in its one slot."""
        return cls(lineage.keys)

    def mark(self, verdict: RolloutVerdict) -> Operation[bool]:
        """Say that a rollout is not valid; say whether that was news, as more candidates are."""
        name = f"{verdict.incident_id}/{verdict.tool_call_id}"
        return (yield from self._mark(name, _encoder.encode(_fields(verdict)), verdict))

    def revoke(
        self, run_id: str, rollout_id: str, incident_id: str, by: str, at: float
    ) -> Operation[bool]:
        """Take an incident's marks on a rollout back; say whether there were any."""
        verdict = RolloutVerdict(
            run_id=run_id,
            rollout_id=rollout_id,
            valid=True,
            at=at,
            incident_id=incident_id,
            reason=f"released by {by}",
        )
        return (yield from self._mark(f"{incident_id}/", b"", verdict))

    def verdict(self, run_id: str, rollout_id: str) -> Operation[RolloutVerdict | None]:
        """Return what is on record about a rollout; None where nothing is."""
        [told] = yield (("HGETALL", self.keys.rollout(run_id, rollout_id)),)
        read = {text(name): text(value) for name, value in dict(told).items()}
        return _verdict(read) if read else None

    def join(self, group: str, since: str) -> Operation[None]:
        """Make a consumer group that reads from a place on (``0``: all, ``$``: what is new)."""
        yield (("EVAL", GROUP, 1, self.keys.feedback, group, since),)

    def left(self, group: str, consumer: str, idle: float) -> Operation[list[News]]:
        """Take over what others of the group took, and did not finish, so many seconds ago."""
        milliseconds = int(idle * 1000)
        stream = self.keys.feedback
        [answer] = yield (("XAUTOCLAIM", stream, group, consumer, milliseconds, "0", "COUNT", 100),)
        return list(_news(answer[1]))

    def own(self, group: str, consumer: str) -> Operation[list[News]]:
        """Return what this consumer took before, and did not finish."""
        return (yield from self._take(group, consumer, "0", 0))

    def take(self, group: str, consumer: str, block: float) -> Operation[list[News]]:
        """Wait at most ``block`` seconds for verdicts that nobody of the group has had."""
        return (yield from self._take(group, consumer, ">", max(1, int(block * 1000))))

    def done(self, group: str, place: str) -> Operation[None]:
        """Say that a verdict was dealt with."""
        yield (("XACK", self.keys.feedback, group, place),)

    def _take(self, group: str, consumer: str, after: str, wait: int) -> Operation[list[News]]:
        words = ("XREADGROUP", "GROUP", group, consumer, "COUNT", 100)
        block = ("BLOCK", wait) if wait else ()
        [reply] = yield ((*words, *block, "STREAMS", self.keys.feedback, after),)
        return list(_news(reply[0][1] if reply else ()))

    def _mark(self, mark: str, fields: bytes, verdict: RolloutVerdict) -> Operation[bool]:
        keys = self.keys
        names = (
            keys.rollout(verdict.run_id, verdict.rollout_id),
            keys.rollout_marks(verdict.run_id, verdict.rollout_id),
            keys.feedback,
        )
        limits = (_MARKS, self.news, self.seconds, repr(verdict.at), len(verdict.candidates))
        arguments = (mark, fields, _encoder.encode(verdict), *limits)
        [done] = yield (("EVAL", MARK, len(names), *names, *arguments),)
        return bool(done)


_encoder = msgspec.json.Encoder()


def _fields(verdict: RolloutVerdict) -> list[str]:
    """Return the record as the names and values of a hash, all text, empty ones left out."""
    told = {
        "run_id": verdict.run_id,
        "rollout_id": verdict.rollout_id,
        "valid": "true" if verdict.valid else "false",
        "at": repr(verdict.at),
        "reason": verdict.reason,
        "incident_id": verdict.incident_id,
        "tool_call_id": verdict.tool_call_id,
        "candidates": _encoder.encode(verdict.candidates).decode() if verdict.candidates else "",
        "step": "" if verdict.step is None else str(verdict.step),
        "gateway": verdict.gateway,
    }
    return [word for name, value in told.items() if value for word in (name, value)]


def _verdict(read: Mapping[str, str]) -> RolloutVerdict | None:
    """Return a hash as the record it is; None where somebody else wrote it."""
    tree: dict[str, Any] = {**read, "candidates": ()}
    try:
        if read.get("candidates"):
            tree["candidates"] = msgspec.json.decode(read["candidates"])
        return msgspec.convert(tree, RolloutVerdict, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _news(entries: Any) -> Iterator[News]:
    for place, values in entries:
        raw = dict(values or {}).get(b"verdict", b"")
        try:
            verdict = msgspec.json.decode(raw, type=RolloutVerdict)
        except (msgspec.DecodeError, UnicodeDecodeError):
            verdict = None
        yield News(text(place), verdict)
