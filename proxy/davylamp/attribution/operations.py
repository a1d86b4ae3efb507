"""What is done to the store, written once for the sync and the async executor."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import batched, chain

import msgspec

from davylamp import events
from davylamp.attribution import model
from davylamp.attribution.calls import LOAD_BATCH, CallOperations, waiting_for
from davylamp.attribution.claims import claims_of, same_container
from davylamp.attribution.commit import Stored, as_stored, commit, reading, shown
from davylamp.attribution.history import History
from davylamp.attribution.model import Binding, BindingChange, Change, ToolCall, ToolCallChange
from davylamp.attribution.operation import Operation, read_changes
from davylamp.attribution.recording import EventOperations
from davylamp.attribution.replies import readable, text
from davylamp.errors import AmbiguousNameError, ConfigError, LineageUnavailable

_ATTEMPTS = 32


@dataclass(frozen=True, slots=True)
class Dossier:
    """All that is on record about one container, lifecycle or address.

    ``bindings`` are oldest first, ``calls`` by start, ``incidents`` by time. ``record`` is the
    container's hash as any Redis client sees it.
    """

    subject: str
    kind: str
    record: dict[str, str]
    bindings: tuple[Binding, ...]
    calls: tuple[ToolCall, ...]
    incidents: tuple[events.AlertEvent, ...]


@dataclass(frozen=True, slots=True)
class Position:
    """Where in the stream of changes a reader is; ``full`` when more was waiting."""

    last_id: str
    changes: tuple[Change, ...] = ()
    full: bool = False


@dataclass(frozen=True, slots=True)
class Operations(CallOperations, EventOperations):
    """Every read and write of lineage. ``now`` is seconds since the epoch."""

    # -- writes -----------------------------------------------------------------------------

    def bind(self, binding: Binding, now: float) -> Operation[Binding]:
        """Bind an address to a container; return the binding as it now stands.

        An empty ``lifecycle_id`` means: the current lifecycle of this or another address if it is
        the same container and does not contradict the run, else a new one. Raises ConfigError
        when a field is unfit.
        """
        checked = model.checked_binding(binding)
        for _ in range(_ATTEMPTS):
            stored = yield from self._stored(checked.ip)
            named = yield from self._named(stored.history, checked)
            history = stored.history.bind(named, int(now * 1000))
            hold = _outcome(history, named)
            if history == stored.history:
                return hold
            others = self.early_homes(hold, history)
            done, *replies = yield (
                commit(self, stored, history, now),
                *self.asked_for(hold, others),
            )
            if done:
                yield from self.gather_calls(hold, others, replies)
                return hold
        raise LineageUnavailable(f"{checked.ip} is being changed by too many writers; try again")

    def release(self, ip: str, lifecycle: str, at: float, now: float) -> Operation[bool]:
        """Release an address if that lifecycle holds it; say whether anything changed.

        An empty lifecycle means whoever holds it at that time.
        """
        address = model.canonical_address(ip)
        for _ in range(_ATTEMPTS):
            stored = yield from self._stored(address)
            holder = stored.history.holder(at) or stored.history.current
            named = lifecycle or (holder.lifecycle_id if holder is not None else "")
            if not named:
                return False
            history = stored.history.release(named, at, int(now * 1000))
            if history == stored.history:
                return False
            [done] = yield (commit(self, stored, history, now),)
            if done:
                return _spans(history) != _spans(stored.history)
        raise LineageUnavailable(f"{address} is being changed by too many writers; try again")

    def release_container(self, subject: str, at: float, now: float) -> Operation[int]:
        """Release every address of a lifecycle, or of the newest one of that container name."""
        lifecycle = yield from self._lifecycle_of(subject, at)
        addresses = yield from self.addresses_of(lifecycle)
        released = 0
        for ip in addresses:
            released += yield from self.release(ip, lifecycle, at, now)
        return released

    def put_call_of(self, call: ToolCall, container: str, ip: str) -> Operation[ToolCall | None]:
        """Record a call whose lifecycle is found from the container, lifecycle id or address.

        Who held the name or address when the call started is what counts. Returns None when
        nobody is known to have; then the call waits to be found by a bind. Raises
        AmbiguousNameError when several containers had the name.
        """
        if not container:
            call = msgspec.structs.replace(call, ip=model.canonical_address(ip))
        lifecycle = yield from self.resolve(container, ip, call.started)
        if not lifecycle:
            waiting = waiting_for(container or call.ip)
            yield from self.put_call(msgspec.structs.replace(call, lifecycle_id=waiting))
            # Bound in that moment, it may not have been found.
            lifecycle = yield from self.resolve(container, ip, call.started)
            if not lifecycle:
                return None
        placed = msgspec.structs.replace(call, lifecycle_id=lifecycle)
        yield from self.put_call(placed)
        # A bind gathers what was said of its container too early. What it did not see, because it
        # came in between, is seen here.
        again = yield from self.resolve(container, ip, call.started)
        if again and again != lifecycle:
            placed = msgspec.structs.replace(call, lifecycle_id=again)
            yield from self.put_call(placed)
        return placed

    # -- reads ------------------------------------------------------------------------------

    def history(self, ip: str) -> Operation[History]:
        """Return all that is known of one address."""
        stored = yield from self._stored(model.canonical_address(ip))
        history = stored.history
        return History(history.ip, history.version, tuple(map(shown, history.bindings)))

    def resolve(self, container: str, ip: str, at: float) -> Operation[str]:
        """Return the lifecycle id of a container name, lifecycle id or address then, or ''.

        Raises AmbiguousNameError where several containers had the name.
        """
        if container:
            return (yield from self._lifecycle_of(container, at))
        history = yield from self.history(ip)
        holder = history.holder(at)
        return holder.lifecycle_id if holder is not None else ""

    def addresses_of(self, lifecycle: str) -> Operation[list[str]]:
        """Return the addresses that a lifecycle holds, or has held."""
        [ips] = yield (("SMEMBERS", self.keys.lifecycle_addresses(lifecycle)),)
        return sorted(text(ip) for ip in ips)

    def names_of(self, lifecycle: str) -> Operation[frozenset[str]]:
        """Return every id that a lifecycle goes by, the one asked about among them."""
        _, bindings = yield from self._bindings_about(lifecycle)
        return frozenset({lifecycle, *_ids_of(bindings)})

    def claims_about(self, lifecycle: str) -> Operation[tuple[Binding, ...]]:
        """Return what each source said of a lifecycle."""
        _, bindings = yield from self._bindings_about(lifecycle)
        return tuple(claim for each in bindings for claim in claims_of(each))

    def newest(self, container: str) -> Operation[str]:
        """Return the newest lifecycle of a container name, or ''."""
        [found] = yield (("HGET", self.keys.container(container), "lifecycle_id"),)
        return text(found) if found else ""

    def look_up(self, subject: str) -> Operation[Dossier | None]:
        """Return all that is on record about a container, lifecycle id or address, or None.

        A container's dossier holds every lifecycle that is still kept.
        """
        kind, bindings = yield from self._bindings_about(subject)
        if not bindings:
            return None
        newest = bindings[-1]
        lifecycles = _ids_of(bindings)
        calls = yield from self.calls(lifecycles)
        alerts = yield from self._incidents(lifecycles)
        [record] = yield (("HGETALL", self.keys.container(newest.container)),)
        read = {text(name): text(value) for name, value in dict(record).items()}
        same = read.get("lifecycle_id") in lifecycles
        return Dossier(
            subject,
            kind,
            read if same else {},
            tuple(map(shown, bindings)),
            tuple(calls),
            tuple(alerts),
        )

    def listing(self, limit: int) -> Operation[list[Binding]]:
        """Return the current bindings of the addresses changed last, newest first."""
        return [shown(each) for each in (yield from self.current(limit))]

    def current(self, limit: int) -> Operation[list[Binding]]:
        """Return the same with all that each source said of them."""
        [ips] = yield (("ZREVRANGE", self.keys.addresses, 0, limit - 1),)
        found: list[Binding] = []
        for some in batched(ips, LOAD_BATCH):
            replies = yield [("GET", self.keys.current(text(ip))) for ip in some]
            found.extend(readable(replies, model.decode_binding))
        return found

    def position(self) -> Operation[Position]:
        """Return the end of the stream of changes, to read on from after a load."""
        [last] = yield (("XREVRANGE", self.keys.changes, "+", "-", "COUNT", 1),)
        return Position(text(last[0][0]) if last else "0-0")

    def addresses(self, limit: int) -> Operation[list[str]]:
        """Return the addresses changed last, oldest change first."""
        [ips] = yield (("ZREVRANGE", self.keys.addresses, 0, limit - 1),)
        return [text(ip) for ip in reversed(ips)]

    def load(self, ips: Sequence[str]) -> Operation[list[Change]]:
        """Return the histories and tool calls of these addresses as changes."""
        stored = yield from self._stored_many(ips)
        bindings = [shown(binding) for each in stored for binding in each.history.bindings]
        calls = yield from self.calls(_ids_of(bindings))
        return [
            *(BindingChange(binding=each) for each in bindings),
            *(ToolCallChange(call=each) for each in calls),
        ]

    def changes(self, after: str, block: float, count: int) -> Operation[Position]:
        """Wait at most ``block`` seconds for changes after a position; return the new one."""
        last, raws = yield from read_changes(self.keys.changes, after, block, count)
        found = tuple(readable(raws, model.decode_change))
        return Position(last, found, len(raws) >= count)

    # -- parts ------------------------------------------------------------------------------

    def _stored(self, ip: str) -> Operation[Stored]:
        [stored] = yield from self._stored_many([ip])
        return stored

    def _stored_many(self, ips: Sequence[str]) -> Operation[list[Stored]]:
        found: list[Stored] = []
        for some in batched(ips, LOAD_BATCH):
            replies = yield [command for ip in some for command in reading(self, ip)]
            threes = batched(replies, 3)
            found += [as_stored(ip, *three) for ip, three in zip(some, threes, strict=True)]
        return found

    def _named(self, history: History, binding: Binding) -> Operation[Binding]:
        """Return the bind with the id that its container has through another address, if any."""
        if binding.lifecycle_id or history.joins(binding) is not None:
            return binding
        by_name = self.keys.lifecycles(binding.container)
        latest = repr(binding.valid_from)
        [found] = yield (("ZREVRANGEBYSCORE", by_name, latest, "-inf", "LIMIT", 0, 1),)
        for lifecycle in map(text, found):
            addresses = yield from self.addresses_of(lifecycle)
            holds = [each.history.current for each in (yield from self._stored_many(addresses))]
            live = [each for each in holds if each and lifecycle in each.lifecycles]
            if live and all(same_container(each, binding) for each in live):
                return msgspec.structs.replace(binding, lifecycle_id=lifecycle)
        return binding

    def _lifecycle_of(self, subject: str, at: float) -> Operation[str]:
        """Return the lifecycle that a name meant then, its first one if that began later.

        Raises AmbiguousNameError where several containers of that name ran then.
        """
        by_name = self.keys.lifecycles(subject)
        then, first, known = yield (
            ("ZREVRANGEBYSCORE", by_name, repr(at), "-inf", "LIMIT", 0, 2),
            ("ZRANGE", by_name, 0, 0),
            ("EXISTS", self.keys.lifecycle_addresses(subject)),
        )
        alike = (yield from self.namesakes(subject, at)) if len(then) > 1 else ()
        if len(alike) > 1:
            raise AmbiguousNameError(
                f"{len(alike)} containers are named {subject}; say the lifecycle id or the address"
            )
        if then or first:
            return text((then or first)[0])
        return subject if known else ""

    def _bindings_about(self, subject: str) -> Operation[tuple[str, list[Binding]]]:
        try:
            history = yield from self.history(subject)
        except ConfigError:
            pass
        else:
            return "address", [each for each in history.bindings if not each.empty]
        [names] = yield (("ZRANGE", self.keys.lifecycles(subject), 0, -1),)
        kind = "container" if names else "lifecycle"
        wanted = {text(name) for name in names} or {subject}
        found: dict[tuple[str, int], Binding] = {}
        ips: dict[str, None] = {}
        for lifecycle in sorted(wanted):
            ips.update(dict.fromkeys((yield from self.addresses_of(lifecycle))))
        for stored in (yield from self._stored_many(list(ips))):
            for each in stored.history.bindings:
                if not wanted.isdisjoint(each.lifecycles) and not each.empty:
                    found[each.ip, each.serial] = each
        return kind, sorted(found.values(), key=lambda each: (each.valid_from, each.ip))

    def _incidents(self, lifecycles: Sequence[str]) -> Operation[list[events.AlertEvent]]:
        found: list[events.AlertEvent] = []
        for some in batched(lifecycles, LOAD_BATCH):
            replies = yield [("HVALS", self.keys.incidents(each)) for each in some]
            alerts = readable(chain.from_iterable(replies), events.decode)
            found.extend(each for each in alerts if isinstance(each, events.AlertEvent))
        return sorted(found, key=lambda each: each.timestamp)


def _ids_of(bindings: Iterable[Binding]) -> list[str]:
    return list(dict.fromkeys(name for each in bindings for name in each.lifecycles))


def _outcome(history: History, asked: Binding) -> Binding:
    """Return the binding that a bind resulted in: the changed one, else the one it repeated."""
    found = history.joins(asked)
    if found is not None:
        return found
    # Another holder has begun at that very moment: what is left of the bind is no time at all.
    same = [each for each in history.bindings if same_container(each, asked)]
    return (same or history.bindings)[-1]


def _spans(history: History) -> list[tuple[float, float | None]]:
    return [(each.valid_from, each.valid_to) for each in history.bindings if not each.empty]
