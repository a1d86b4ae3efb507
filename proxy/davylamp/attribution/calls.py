"""Tool calls in the store: put on a lifecycle, read back, and found again when said too early."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import batched, chain
from typing import Any

import msgspec

from davylamp.attribution import model, scripts
from davylamp.attribution.history import History
from davylamp.attribution.model import Binding, ToolCall, ToolCallChange
from davylamp.attribution.namesakes import NamesakeOperations
from davylamp.attribution.operation import Command, Operation, script
from davylamp.attribution.replies import readable, text

LOAD_BATCH = 256


@dataclass(frozen=True, slots=True)
class CallOperations(NamesakeOperations):
    """Every read and write of tool calls."""

    def put_call(self, call: ToolCall) -> Operation[bool]:
        """Record a tool call's begin or end; say whether that was news."""
        model.checked_call(call)
        keep, keys = self.keep, self.keys
        raw = model.encode(call)
        change = model.encode(ToolCallChange(call=call))
        names = (keys.calls(call.lifecycle_id), keys.calls_order(call.lifecycle_id), keys.changes)
        arguments = (call.tool_call_id, repr(call.started), raw, change)
        limits = (keep.calls, keep.seconds, keep.changes)
        [changed] = yield (script(scripts.CALL, names, (*arguments, *limits)),)
        return bool(changed)

    def calls(self, lifecycles: Sequence[str]) -> Operation[list[ToolCall]]:
        """Return the tool calls of these lifecycles, by start."""
        found: list[ToolCall] = []
        for some in batched(lifecycles, LOAD_BATCH):
            replies = yield [("HVALS", self.keys.calls(each)) for each in some]
            found.extend(readable(chain.from_iterable(replies), model.decode_call))
        return sorted(found, key=lambda call: call.started)

    def call(self, lifecycle: str, tool_call_id: str) -> Operation[ToolCall | None]:
        """Return a tool call of a lifecycle as it stands, None where it is not on record."""
        replies = yield (("HGET", self.keys.calls(lifecycle), tool_call_id),)
        return next(readable(replies, model.decode_call), None)

    @staticmethod
    def early_homes(hold: Binding, history: History) -> list[tuple[str, str]]:
        """Return under which ids calls may have been said of a lifecycle before it was known.

        Each comes with the address by which such a call was named, "" for its container's name.
        """
        last = history.before(hold)
        by_address = (*(last.lifecycles if last else ()), waiting_for(hold.ip))
        others = [(other, hold.ip) for other in by_address if other not in hold.lifecycles]
        return [*others, (waiting_for(hold.container), "")] if hold.container else others

    def asked_for(self, hold: Binding, others: Sequence[tuple[str, str]]) -> Iterator[Command]:
        """Yield what asks for the calls of those, and for the container's start before this one."""
        for other, _ in others:
            yield ("HVALS", self.keys.calls(other))
        if hold.container:
            before = f"({hold.valid_from!r}"
            by_name = self.keys.lifecycles(hold.container)
            yield ("ZREVRANGEBYSCORE", by_name, before, "-inf", "LIMIT", 0, 1)

    def gather_calls(
        self, hold: Binding, others: Sequence[tuple[str, str]], replies: Sequence[Any]
    ) -> Operation[None]:
        """Move to a lifecycle the calls that were said of it before it was known.

        They went to its container's last start, or to its address's last holder.
        """
        yield from self._move_calls(others, replies[: len(others)], hold)
        named = [text(each) for some in replies[len(others) :] for each in some]
        if earlier := [(other, "") for other in named if other not in hold.lifecycles]:
            answers = yield [("HVALS", self.keys.calls(other)) for other, _ in earlier]
            yield from self._move_calls(earlier, answers, hold)

    def _move_calls(
        self, others: Sequence[tuple[str, str]], replies: Sequence[Any], hold: Binding
    ) -> Operation[None]:
        """Move the calls of a hold's time that were put down to others.

        Each other comes with the address by which its calls were named, "" for a name. A name that
        several containers had then tells of none of them: its calls wait, for good.
        """
        for (other, ip), raws in zip(others, replies, strict=True):
            for call in readable(raws, model.decode_call):
                if call.ip != ip or not hold.covers(call.started):
                    continue
                alike = () if ip else (yield from self.namesakes(hold.container, call.started))
                home = waiting_for(hold.container) if len(alike) > 1 else hold.lifecycle_id
                if home != other:
                    yield from self._move_call(call, other, home)

    def _move_call(self, call: ToolCall, other: str, home: str) -> Operation[None]:
        placed = msgspec.structs.replace(call, lifecycle_id=home)
        yield from self.put_call(placed)
        gone = model.encode(ToolCallChange(call=msgspec.structs.replace(call, moved=True)))
        limit = ("MAXLEN", "~", self.keep.changes)
        yield (
            ("HDEL", self.keys.calls(other), call.tool_call_id),
            ("ZREM", self.keys.calls_order(other), call.tool_call_id),
            ("XADD", self.keys.changes, *limit, "*", "change", gone),
        )


def waiting_for(container: str) -> str:
    """Return the id under which calls wait for a container that nobody has bound."""
    return f"@{container}"
