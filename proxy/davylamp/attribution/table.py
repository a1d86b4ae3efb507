"""The in-process snapshot of lineage that verdicts are attributed with.

It knows no clock and does no I/O: whoever feeds it says how fresh it is. One thread or task may
write while others read, because every value it holds is replaced, never altered.

The strategy for never being wrong: an answer is certain only for times that the snapshot is known
to cover. After the last confirmation anybody may have taken the address, so the last holder is
given as ``stale``; before the oldest record nobody is named.
"""

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field

from davylamp.attribution.claims import filled
from davylamp.attribution.history import History
from davylamp.attribution.model import (
    Attribution,
    Binding,
    BindingChange,
    Change,
    Grade,
    ToolCall,
    ToolCallChange,
)

_HOMES = 16
SHORT_ID = 12
"""Characters of a container id that every runtime shows."""


@dataclass(frozen=True, slots=True)
class TableLimits:
    """How much the table keeps (counts).

    ``linger``: an address released at most so many seconds ago is still attributed, as stale.
    """

    addresses: int = 65_536
    bindings: int = 64
    lifecycles: int = 65_536
    calls: int = 512
    linger: float = 60.0


@dataclass(frozen=True, slots=True)
class _Calls:
    """A lifecycle's tool calls by start; ``horizon`` is the time before which some were dropped."""

    calls: tuple[ToolCall, ...] = ()
    horizon: float = 0.0

    def learn(self, call: ToolCall, limit: int) -> "_Calls":
        known = next((c for c in self.calls if c.tool_call_id == call.tool_call_id), None)
        if known is not None and (known == call or known.moved):
            return self
        if known is not None and known.ended is not None and not call.moved:
            return self
        kept = sorted((*(c for c in self.calls if c is not known), call), key=lambda c: c.started)
        horizon = self.horizon
        if len(kept) > limit:
            # A call that has ended explains the past only; one that runs explains the next packet.
            spent = next((c for c in kept if c.ended is not None), kept[0])
            kept.remove(spent)
            horizon = max(horizon, spent.ended or spent.started)
        return _Calls(tuple(kept), horizon)


@dataclass(slots=True)
class _Snapshot:
    addresses: OrderedDict[str, History] = field(default_factory=OrderedDict)
    calls: OrderedDict[str, _Calls] = field(default_factory=OrderedDict)
    # Every id that a lifecycle goes by, under each of them.
    kin: OrderedDict[str, frozenset[str]] = field(default_factory=OrderedDict)
    # The addresses on which an id was seen: IPv4 and IPv6, one a network.
    homes: OrderedDict[str, frozenset[str]] = field(default_factory=OrderedDict)


class LineageTable:
    """Who held which address when, bounded, and attribution by time."""

    __slots__ = ("_fresh_at", "_limits", "_live", "_snapshot")

    def __init__(self, limits: TableLimits | None = None) -> None:
        self._limits = limits or TableLimits()
        self._snapshot = _Snapshot()
        self._fresh_at = float("-inf")
        self._live = False

    @property
    def fresh_at(self) -> float:
        """The time up to which every published change has been applied; -inf before the first."""
        return self._fresh_at

    @property
    def limits(self) -> TableLimits:
        """What the table keeps and trusts."""
        return self._limits

    @property
    def live(self) -> bool:
        """Whether changes are arriving, as far as is known."""
        return self._live

    @property
    def addresses(self) -> int:
        """How many addresses the table knows."""
        return len(self._snapshot.addresses)

    def apply(self, change: Change) -> None:
        """Take in one change: repeated, late and out-of-order ones come to the same end."""
        self._take(self._snapshot, change)

    def adopt(self, other: "LineageTable") -> None:
        """Forget everything and take over what another table holds, in one step for readers.

        The other is not used any more; it is how a reload is built up beside the table in use.
        """
        self._snapshot = other._snapshot  # noqa: SLF001 - its own class

    def confirm(self, at: float) -> None:
        """Record that every change published up to that time has been applied."""
        self._fresh_at = at
        self._live = True

    def lose(self) -> None:
        """Record that changes no longer arrive: nothing after ``fresh_at`` is certain."""
        self._live = False

    def containers(self, ids: Collection[str]) -> list[Binding]:
        """Return the bindings of containers by their ids; runtimes shorten those to 12 characters.

        It looks at every address once, however many ids there are.
        """
        wanted = {one[:SHORT_ID] for one in ids if len(one) >= SHORT_ID}
        return [
            binding
            for history in tuple(self._snapshot.addresses.values())
            for binding in history.bindings
            if binding.container_id[:SHORT_ID] in wanted and not binding.empty
        ]

    def attribute(self, ip: str, at: float) -> Attribution:
        """Say who held the address (canonical text) at a time, by what is known now.

        Asking again later about the same ``at`` can only improve the answer, once changes that
        were on their way have come in.
        """
        snapshot = self._snapshot
        history = snapshot.addresses.get(ip)
        last = history.last_before(at) if history is not None else None
        if last is None:
            return Attribution(Grade.UNKNOWN, reason="no container is known to have held it")
        held = last.covers(at)
        if not held and last.valid_to is not None and at - last.valid_to > self._limits.linger:
            return Attribution(Grade.UNKNOWN, reason="its last holder had released it")
        last = self._completed(snapshot, last, at)
        reason = self._doubt(last, at) if held else "its last holder had just released it"
        running, complete = self._running(snapshot, last, at)
        if reason:
            return Attribution(Grade.STALE, last, None, running, reason)
        call = running[0] if complete and len(running) == 1 else None
        return Attribution(last.grade, last, call, () if call else running)

    def knows(self, ip: str, at: float) -> bool:
        """Tell whether any holder of the address (canonical text) until then is on record.

        Of a silent address nothing may be: then there is no saying that it was given up.
        """
        history = self._snapshot.addresses.get(ip)
        return history is not None and history.last_before(at) is not None

    def _doubt(self, binding: Binding, at: float) -> str:
        """Return why the holder may have changed since the snapshot was confirmed, or ''."""
        if at <= self._fresh_at:
            return "" if binding.grade.certain() else "its source was not sure"
        return "the lineage store has not confirmed it since"

    @staticmethod
    def _completed(snapshot: _Snapshot, binding: Binding, at: float) -> Binding:
        """Return the binding with what is known of its container through another address."""
        ids = snapshot.kin.get(binding.lifecycle_id) or frozenset((binding.lifecycle_id,))
        homes = frozenset[str]().union(*(snapshot.homes.get(each, ()) for each in ids))
        for ip in sorted(homes - {binding.ip}):
            history = snapshot.addresses.get(ip)
            other = history.holder(at) if history is not None else None
            if other is not None and not ids.isdisjoint(other.lifecycles):
                binding = filled(binding, other)
        return binding

    @staticmethod
    def _running(
        snapshot: _Snapshot, binding: Binding, at: float
    ) -> tuple[tuple[ToolCall, ...], bool]:
        ids = snapshot.kin.get(binding.lifecycle_id) or {binding.lifecycle_id}
        logs = [log for each in sorted(ids) if (log := snapshot.calls.get(each)) is not None]
        found = {call.tool_call_id: call for log in logs for call in log.calls if call.running(at)}
        return tuple(found.values()), all(at >= log.horizon for log in logs)

    def _take(self, snapshot: _Snapshot, change: Change) -> None:
        match change:
            case BindingChange(binding=binding):
                history = snapshot.addresses.get(binding.ip) or History(binding.ip)
                learnt = history.learn(binding).trimmed(self._limits.bindings)
                _put(snapshot.addresses, binding.ip, learnt, self._limits.addresses)
                self._relate(snapshot, binding)
            case ToolCallChange(call=call):
                log = snapshot.calls.get(call.lifecycle_id) or _Calls()
                learnt_calls = log.learn(call, self._limits.calls)
                _put(snapshot.calls, call.lifecycle_id, learnt_calls, self._limits.lifecycles)

    def _relate(self, snapshot: _Snapshot, binding: Binding) -> None:
        """Have what was said under one id of a lifecycle, or of one address, count for all."""
        limit = self._limits.lifecycles
        for each in binding.lifecycles:
            homes = snapshot.homes.get(each, frozenset())
            if len(homes) < _HOMES:
                _put(snapshot.homes, each, homes | {binding.ip}, limit)
        if binding.aliases:
            ids = binding.lifecycles
            alike = frozenset(ids).union(*(snapshot.kin.get(each, ()) for each in ids))
            for each in alike:
                _put(snapshot.kin, each, alike, limit)


def _put[T](entries: OrderedDict[str, T], key: str, value: T, limit: int) -> None:
    """Put an entry last; beyond the limit the one left unchanged the longest goes."""
    entries[key] = value
    entries.move_to_end(key)
    if len(entries) > limit:
        entries.popitem(last=False)
