"""All that is known of one address: its holders in time, none overlapping another.

The strategy: a change is applied to the whole history and the result is settled again, so the
order in which binds and releases arrive does not matter. Where two claims overlap, the later
start wins from then on. A release that comes before its bind leaves an *empty* binding behind
(``valid_from == valid_to``), which the late bind then fills without reviving it.

Several sources may speak of one hold, each with an id of its own for the lifecycle. A bind joins
the hold of a container that had the address then, or had it next, unless its source has already
spoken of that hold by another id: then the container has started again.
"""

from bisect import bisect_right
from dataclasses import dataclass
from operator import attrgetter

import msgspec

from davylamp.attribution.claims import (
    first_claimed,
    first_sure,
    has_spoken,
    joined,
    last_claimed,
    made_id,
    parted,
    same_container,
)
from davylamp.attribution.model import Binding

_START = attrgetter("valid_from")
_ORDER = attrgetter("valid_from", "serial")
_LEAD = 600.0
"""How long before a start that is known a bind may be meant for it, in seconds."""


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

    def before(self, hold: Binding) -> Binding | None:
        """Return who held the address before a hold, or None."""
        earlier = [b for b in self.bindings if not b.empty and b.valid_from < hold.valid_from]
        return earlier[-1] if earlier else None

    def holder(self, at: float) -> Binding | None:
        """Return who held the address at that time."""
        last = self.last_before(at)
        return last if last is not None and last.covers(at) else None

    def joins(self, new: Binding) -> Binding | None:
        """Return the hold that a bind is about, if it is on record."""
        index = self._same_hold(new)
        if index is not None and not self.bindings[index].empty:
            return self.bindings[index]
        partner = self._partner(new)
        if partner is not None:
            return self.bindings[partner]
        return self.bindings[index] if index is not None else None

    def bind(self, new: Binding, stamp: int) -> "History":
        """Return the history after a container took the address.

        Repeating a bind changes nothing; a second source's bind of the same hold adds what it
        knows. Without a lifecycle id it is a new lifecycle where it joins none. ``stamp`` is
        milliseconds since the epoch: versions never fall behind it, so that they go on growing
        after a store has lost its data.
        """
        bindings = list(self.bindings)
        hold = self.joins(new)
        if hold is None:
            name = new.lifecycle_id or made_id(new)
            fresh = msgspec.structs.replace(
                new, lifecycle_id=name, serial=self._next(stamp), version=0
            )
            return self._settled([*bindings, fresh], stamp).sorted_out(stamp)
        index = bindings.index(hold)
        mark = self._mark_of(new)
        if mark is hold:
            end = hold.valid_to
            bindings[index] = msgspec.structs.replace(new, serial=hold.serial, valid_to=end)
            return self._settled(bindings, stamp)
        bindings[index] = joined(hold, new)
        history = self._settled(bindings, stamp).sorted_out(stamp)
        if mark is not None and mark.valid_to is not None:
            return history.release(new.lifecycle_id, mark.valid_to, stamp)
        return history

    def release(self, lifecycle: str, at: float, stamp: int) -> "History":
        """Return the history after that lifecycle, and no other, gave the address up."""
        bindings = list(self.bindings)
        named = [index for index, each in enumerate(bindings) if lifecycle in each.lifecycles]
        held = [index for index in named if not _is_mark(bindings[index])] or named
        if not held:
            mark = Binding(ip=self.ip, lifecycle_id=lifecycle, valid_from=at, valid_to=at)
            bindings.append(msgspec.structs.replace(mark, serial=self._next(stamp)))
            return self._settled(bindings, stamp)
        begun = [index for index in held if bindings[index].valid_from <= at]
        if not begun and (len(held) > 1 or bindings[held[0]].said_end is not None):
            return self
        # A container released "before" its only bind (two clocks) is released at once rather
        # than left bound for ever.
        index = begun[-1] if begun else held[0]
        hold = bindings[index]
        end = max(at, first_claimed(hold))
        if hold.said_end is not None and end >= hold.said_end:
            return self
        bindings[index] = msgspec.structs.replace(hold, valid_to=end, cut=False, released=None)
        return self._settled(bindings, stamp).sorted_out(stamp)

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
        """Return which hold goes by the bind's own id, one that is more than a mark first."""
        marked = None
        for index, each in enumerate(self.bindings):
            if not new.lifecycle_id or new.lifecycle_id not in each.lifecycles:
                continue
            open_then = each.valid_to is None or new.valid_from < each.valid_to
            if not each.empty and open_then:
                return index
            if open_then or (each.empty and new.valid_from == each.valid_to):
                marked = index if marked is None else marked
        return marked

    def _mark_of(self, new: Binding) -> Binding | None:
        """Return what a release left behind that came before this bind."""
        index = self._same_hold(new)
        marks = (each for each in self.bindings if _is_mark(each))
        found = self.bindings[index] if index is not None else None
        if found is not None and _is_mark(found):
            return found
        return next(
            (m for m in marks if new.lifecycle_id and m.lifecycle_id == new.lifecycle_id), None
        )

    def _partner(self, new: Binding) -> int | None:
        """Return the hold of the same container then, else the next one's; see the module."""
        following = [
            index
            for index, each in enumerate(self.bindings)
            if not each.empty and (each.valid_to is None or each.valid_to > new.valid_from)
        ]
        for index in following[:2]:
            each = self.bindings[index]
            covers = each.valid_from <= new.valid_from
            near = covers or each.valid_from - new.valid_from <= _LEAD
            spoken = bool(new.lifecycle_id) and has_spoken(each, new.source)
            if near and not spoken and same_container(each, new):
                return index
            if not covers or last_claimed(each) >= new.valid_from:
                return None  # what was said later of the holder is about this one, then
        return None

    def sorted_out(self, stamp: int) -> "History":
        """Take from each hold what was said only after its end: it is of a later one."""
        for index, hold in enumerate(self.bindings):
            if hold.valid_to is None or hold.empty:
                continue
            kept, later = parted(hold, hold.valid_to)
            if later:
                bindings = [*self.bindings[:index], kept, *self.bindings[index + 1 :]]
                history = self._settled(bindings, stamp)
                for claim in later:
                    history = history.bind(msgspec.structs.replace(claim, ip=self.ip), stamp)
                return history
        return self

    def _settled(self, bindings: list[Binding], stamp: int) -> "History":
        """Cut each binding off where the next begins, and stamp those that changed."""
        bindings = [_begun(each, bindings) for each in bindings]
        bindings.sort(key=_ORDER)
        before = {each.serial: each for each in self.bindings}
        version = self._next(stamp)
        settled: list[Binding] = []
        start: float | None = None
        for each in reversed(bindings):
            cut = _ended(each, start)
            if before.get(each.serial) != cut:
                cut = msgspec.structs.replace(cut, version=version)
            settled.append(cut)
            if not cut.empty:
                start = cut.valid_from
        settled.reverse()
        if tuple(settled) == self.bindings:
            return self
        return History(self.ip, version, tuple(settled))


def _is_mark(binding: Binding) -> bool:
    """Tell whether this is only a release that came before its bind."""
    return binding.empty and not binding.cut and not binding.container and not binding.source


def _begun(hold: Binding, others: list[Binding]) -> Binding:
    """Return the hold from its earliest start on that takes no time from one before it.

    An address that was given out in advance is its last holder's until that one is gone.
    """
    if not hold.claims:
        return hold
    first, sure = first_claimed(hold), first_sure(hold)
    ends = [
        each.said_end
        for each in others
        if each is not hold
        and not _is_mark(each)
        and each.said_end is not None
        and first_claimed(each) < first < each.said_end <= sure
    ]
    return msgspec.structs.replace(hold, valid_from=max([first, *ends]))


def _ended(hold: Binding, following: float | None) -> Binding:
    """Return the hold until its end, or until the next one's start if that is before it."""
    end = hold.said_end
    if following is None or (end is not None and end <= following):
        until = end if end is None else max(end, hold.valid_from)
        return msgspec.structs.replace(hold, valid_to=until, cut=False, released=None)
    until = max(following, hold.valid_from)
    return msgspec.structs.replace(hold, valid_to=until, cut=True, released=end)
