"""What agents write and gateways ask: the Redis keys, and operations on them.

See `davylamp.attribution.operations` for what an operation is. A flow's translations are a short
list, which takes a third of a sorted set's memory; a write that is repeated changes nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import msgspec

from davylamp.attribution.hosts.model import Agent, Flow, Translation
from davylamp.attribution.keys import Keys
from davylamp.attribution.operation import Argument, Operation
from davylamp.attribution.operations import Operations
from davylamp.errors import ConfigError

PUBLISH = """
-- Put translations on their flows' records; one that has ended takes the place of what it was.
-- KEYS: one for each translation
-- ARGV: keep of a flow; then for each: translation, what it was or '', seconds
for i, key in ipairs(KEYS) do
  local at = 3 * i - 1
  if ARGV[at + 1] ~= '' then redis.call('LREM', key, 0, ARGV[at + 1]) end
  redis.call('LREM', key, 0, ARGV[at])
  redis.call('LPUSH', key, ARGV[at])
  redis.call('LTRIM', key, 0, ARGV[1] - 1)
  redis.call('EXPIRE', key, ARGV[at + 2])
end
"""

_translation = msgspec.json.Decoder(Translation)
_agent = msgspec.json.Decoder(Agent)
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class HostKeys:
    """The names of keys under a prefix."""

    prefix: str = Keys().prefix

    @property
    def agents(self) -> str:
        """Sorted set of agents' names, by when they were last heard."""
        return f"{self.prefix}agents"

    def agent(self, name: str) -> str:
        """Name the JSON Agent of a host."""
        return f"{self.prefix}agent:{name}"

    def translations(self, flow: Flow) -> str:
        """List of the JSON Translations of a flow, the last written first."""
        return f"{self.prefix}translation:{flow}"


@dataclass(frozen=True, slots=True)
class HostRetention:
    """How much is kept: counts, and seconds.

    A flow that lives is published again well within ``live_seconds``; one that has ended is kept
    for ``ended_seconds`` more, because alerts ask after the fact.
    """

    agents: int = 4_096
    agent_seconds: int = 24 * 3600
    translations: int = 4
    live_seconds: int = 900
    ended_seconds: int = 300


@dataclass(frozen=True, slots=True)
class HostOperations:
    """Every read and write of what agents publish."""

    keys: HostKeys = field(default_factory=HostKeys)
    keep: HostRetention = field(default_factory=HostRetention)

    @classmethod
    def beside(cls, operations: Operations) -> Self:
        """Return the operations in the store where lineage is."""
        return cls(HostKeys(operations.keys.prefix))

    def publish(self, changes: Sequence[tuple[Flow, Translation]]) -> Operation[None]:
        """Write what became of flows, in their order."""
        names = [self.keys.translations(flow) for flow, _ in changes]
        arguments: list[Argument] = [self.keep.translations]
        for _, one in changes:
            ended = one.until is not None
            was = _encode(msgspec.structs.replace(one, until=None)) if ended else b""
            seconds = self.keep.ended_seconds if ended else self.keep.live_seconds
            arguments += (_encode(one), was, seconds)
        yield (("EVAL", PUBLISH, len(names), *names, *arguments),)

    def announce(self, agent: Agent) -> Operation[Agent | None]:
        """Say that an agent is there, and until when all that it saw is published.

        Returns what was on record under its name before.
        """
        keep = self.keep
        before, *_ = yield (
            ("GET", self.keys.agent(agent.name)),
            ("SET", self.keys.agent(agent.name), _encode(agent), "EX", keep.agent_seconds),
            ("ZADD", self.keys.agents, repr(agent.seen), agent.name),
            ("ZREMRANGEBYRANK", self.keys.agents, 0, -1 - keep.agents),
            ("EXPIRE", self.keys.agents, keep.agent_seconds),
        )
        return next(iter(_read([before], _agent)), None)

    def agents(self) -> Operation[dict[str, Agent]]:
        """Return all agents that were heard within a day, by name."""
        [names] = yield (("ZREVRANGE", self.keys.agents, 0, self.keep.agents - 1),)
        return (yield from self.agents_named(name.decode("utf-8", "replace") for name in names))

    def agents_named(self, names: Iterable[str]) -> Operation[dict[str, Agent]]:
        """Return those of these agents that are on record."""
        wanted = [("GET", self.keys.agent(name)) for name in names]
        replies = (yield wanted) if wanted else []
        return {one.name: one for one in _read(replies, _agent)}

    def ask(self, flows: Sequence[Flow]) -> Operation[list[tuple[Translation, ...]]]:
        """Return what is on record of each flow."""
        replies = yield [
            ("LRANGE", self.keys.translations(flow), 0, self.keep.translations - 1)
            for flow in flows
        ]
        return [tuple(filter(_sound, _read(raws, _translation))) for raws in replies]


def _sound(translation: Translation) -> bool:
    try:
        return bool(translation.address)
    except ConfigError:
        return False


def _read[T](raws: Iterable[Any], decoder: msgspec.json.Decoder[T]) -> list[T]:
    """Return what can be read; another client may have written anything."""
    found: list[T] = []
    for raw in raws:
        if raw is None:
            continue
        try:
            found.append(decoder.decode(raw))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return found
