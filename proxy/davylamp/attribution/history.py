"""All that is known of one address: its holders in time, none overlapping another.

The strategy: a change is applied to the whole history and the result is settled again, so the
order in which binds and releases arrive does not matter. Where two claims overlap, the later
``valid_from`` wins from its start on. A release that comes before its bind leaves an *empty*
binding behind (``valid_from == valid_to``), which the late bind then fills without reviving it.
"""

from bisect import bisect_right
from dataclasses import dataclass
from operator import attrgetter

import msgspec

from davylamp.attribution.model import Binding, lifecycle_id

_IDENTITY = ("run_id", "experiment_id", "rollout_id", "trajectory_id", "container_id")
_KEPT = frozenset({"ip", "lifecycle_id", "valid_from", "valid_to", "serial", "version", "grade"})
_START = attrgetter("valid_from")
_ORDER = attrgetter("valid_from", "serial")


@dataclass(frozen=True, slots=True)
class History:
    """The bindings of one address, oldest first; ``version`` grows with every change."""

    ip: str
    version: int = 0
    bindings: tuple[Binding, ...] = ()

    @property
    def current(self) -> Binding | None:
        """The binding that has not been released, if there is one."""
        return next((each for each in reversed(self.bindings) if each.valid_to is None), None)

    def last_before(self, at: float) -> Binding | None:
        """Return the newest binding that began at or before that time, released or not."""
        index = bisect_right(self.bindings, at, key=_START)
        while index > 0:
            index -= 1
            if not self.bindings[index].empty:
                return self.bindings[index]
        return None

    def holder(self, at: float) -> Binding | None:
        """Return who held the address at that time."""
        last = self.last_before(at)
        return last if last is not None and last.covers(at) else None

    def named(self, new: Binding) -> Binding:
        """Return the bind with a lifecycle id: its own, its container's current, or a new one."""
        if new.lifecycle_id:
            return new
        current = self.current
        if current is not None and same_container(current, new):
            return msgspec.structs.replace(new, lifecycle_id=current.lifecycle_id)
        name = lifecycle_id(new.container_id or new.container, new.valid_from)
        return msgspec.structs.replace(new, lifecycle_id=name)

    def bind(self, new: Binding, stamp: int) -> "History":
        """Return the history after a container took the address.

        Repeating a bind changes nothing; a second source's bind of the same lifecycle adds what
        it knows. ``stamp`` is milliseconds since the epoch: versions never fall behind it, so
        that they go on growing after a store has lost its data.
        """
        new = self.named(new)
        bindings = list(self.bindings)
        index = self._same_hold(new)
        if index is None:
            bindings.append(msgspec.structs.replace(new, serial=self._next(stamp), version=0))
        else:
            bindings[index] = _merge(bindings[index], new, self._floor(bindings[index]))
        return self._settled(bindings, stamp)

    def release(self, lifecycle: str, at: float, stamp: int) -> "History":
        """Return the history after that lifecycle, and no other, gave the address up."""
        bindings = list(self.bindings)
        held = [index for index, each in enumerate(bindings) if each.lifecycle_id == lifecycle]
        if not held:
            mark = Binding(ip=self.ip, lifecycle_id=lifecycle, valid_from=at, valid_to=at)
            bindings.append(msgspec.structs.replace(mark, serial=self._next(stamp)))
            return self._settled(bindings, stamp)
        begun = [index for index in held if bindings[index].valid_from <= at]
        if not begun and (len(held) > 1 or bindings[held[0]].valid_to is not None):
            return self
        # A container released "before" its only bind (two clocks) is released at once rather
        # than left bound for ever.
        index = begun[-1] if begun else held[0]
        hold = bindings[index]
        end = max(at, hold.valid_from)
        if hold.valid_to is None or end < hold.valid_to:
            bindings[index] = msgspec.structs.replace(hold, valid_to=end)
        return self._settled(bindings, stamp)

    def learn(self, binding: Binding) -> "History":
        """Return the history with one settled binding put in, unless a newer version is here."""
        others = tuple(each for each in self.bindings if each.serial != binding.serial)
        if len(others) != len(self.bindings):
            known = next(each for each in self.bindings if each.serial == binding.serial)
            if known.version >= binding.version:
                return self
        return History(
            self.ip,
            max(self.version, binding.version),
            tuple(sorted((*others, binding), key=_ORDER)),
        )

    def trimmed(self, limit: int) -> "History":
        """Return the history without its oldest released bindings beyond the limit."""
        excess = len(self.bindings) - limit
        if excess <= 0:
            return self
        kept = []
        for each in self.bindings:
            if excess > 0 and each.valid_to is not None:
                excess -= 1
            else:
                kept.append(each)
        return History(self.ip, self.version, tuple(kept))

    def _next(self, stamp: int) -> int:
        return max(self.version + 1, stamp)

    def _same_hold(self, new: Binding) -> int | None:
        for index, each in enumerate(self.bindings):
            if each.lifecycle_id != new.lifecycle_id:
                continue
            if each.valid_to is None or new.valid_from < each.valid_to:
                return index
            if each.empty and new.valid_from == each.valid_to:
                return index
        return None

    def _floor(self, hold: Binding) -> float:
        """Return how early a second source may say that a hold began."""
        if hold.empty:  # its bind was still missing, so this is the first word on it
            return 0.0
        ends = [b.valid_to for b in self.bindings if b.valid_from < hold.valid_from and not b.empty]
        return (ends[-1] if ends else None) or 0.0

    def _settled(self, bindings: list[Binding], stamp: int) -> "History":
        """Cut each binding off where the next begins, and stamp those that changed."""
        bindings.sort(key=_ORDER)
        before = {each.serial: each for each in self.bindings}
        version = self._next(stamp)
        settled: list[Binding] = []
        start: float | None = None
        for each in reversed(bindings):
            cut = each
            if start is not None and (each.valid_to is None or each.valid_to > start):
                cut = msgspec.structs.replace(each, valid_to=start)
            if before.get(each.serial) != cut:
                cut = msgspec.structs.replace(cut, version=version)
            settled.append(cut)
            if not cut.empty:
                start = cut.valid_from
        settled.reverse()
        if tuple(settled) == self.bindings:
            return self
        return History(self.ip, version, tuple(settled))


def same_container(current: Binding, new: Binding) -> bool:
    """Tell whether a bind can be of the container that a binding is of."""
    if current.container != new.container:
        return False
    pairs = ((getattr(current, name), getattr(new, name)) for name in _IDENTITY)
    return all(not old or not told or old == told for old, told in pairs)


def _merge(old: Binding, new: Binding, floor: float) -> Binding:
    """Return what both sources know of one hold; the surer source wins where they differ.

    The earlier start is kept, but not one that would take time from the holder before.
    """
    surer = new.grade.rank <= old.grade.rank
    changes: dict[str, object] = {}
    for name in new.__struct_fields__:
        told = getattr(new, name)
        if name in _KEPT or name == "labels" or told in ("", None):
            continue
        if surer or getattr(old, name) in ("", None):
            changes[name] = told
    changes["labels"] = {**old.labels, **new.labels} if surer else {**new.labels, **old.labels}
    changes["grade"] = new.grade if surer else old.grade
    changes["valid_from"] = min(old.valid_from, max(new.valid_from, floor))
    return msgspec.structs.replace(old, **changes)
