"""What is done to the store, written once for the sync and the async executor.

An operation is a generator: it yields a batch of Redis commands and is sent their replies, in
order. It opens no connection and reads no clock, so `store.Store` and `store.AsyncStore` are two
thin loops around the same logic. Replies are as redis-py gives them for RESP2, undecoded.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from itertools import batched, chain
from typing import Any

import msgspec

from davylamp import events
from davylamp.attribution import model, scripts
from davylamp.attribution.claims import same_container
from davylamp.attribution.history import History
from davylamp.attribution.keys import Keys, Retention
from davylamp.attribution.model import Binding, BindingChange, Change, ToolCall, ToolCallChange
from davylamp.attribution.replies import readable, text
from davylamp.errors import ConfigError, LineageUnavailable

type Argument = str | bytes | int | float
type Command = tuple[Argument, ...]
type Operation[T] = Generator[Sequence[Command], list[Any], T]

_ATTEMPTS = 32
_LOAD_BATCH = 256
_NOT_ON_RECORD = frozenset({"ip", "serial", "version", "aliases", "claims", "cut", "released"})
_REPLICAS_MS = 1_000  # less than a command may take at all


def read_changes(
    stream: str, after: str, block: float, count: int
) -> Operation[tuple[str, list[bytes | None]]]:
    """Wait at most ``block`` seconds for entries of a stream; return the last's id, and each.

    Of an entry its field ``change`` is returned, None where it has none.
    """
    wait = max(1, int(block * 1000))
    [reply] = yield (("XREAD", "COUNT", count, "BLOCK", wait, "STREAMS", stream, after),)
    entries = reply[0][1] if reply else []
    raws = [dict(values or {}).get(b"change") for _, values in entries]
    return text(entries[-1][0]) if entries else after, raws


class _Touched(msgspec.Struct, frozen=True):
    """A changed binding as the COMMIT script puts it on its container's record."""

    container: str
    lifecycle_id: str
    valid_from: str
    released: bool
    fields: list[tuple[str, str]]


class _Plan(msgspec.Struct, frozen=True):
    """The argument of the COMMIT script; numbers travel as text, which Lua does not round."""

    ip: str
    now: str
    expected: str
    version: str
    current: str
    removed: list[str]
    added: list[tuple[str, str]]
    changes: list[str]
    touched: list[_Touched]
    keep_seconds: str
    keep_addresses: str
    keep_lifecycles: str
    keep_changes: str


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
class _Stored:
    """An address's history with the very bytes that Redis holds for each binding."""

    history: History
    expected: str
    raws: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operations:
    """Every read and write of the store. ``now`` is seconds since the epoch.

    An event counts as recorded when that many ``replicas`` have it too.
    """

    keys: Keys = field(default_factory=Keys)
    keep: Retention = field(default_factory=Retention)
    replicas: int = 0

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
            others = self._others(hold, history)
            done, *replies = yield (self._commit(stored, history, now), *self._asked(hold, others))
            if done:
                yield from self._gather_calls(hold, others, replies)
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
            [done] = yield (self._commit(stored, history, now),)
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

    def put_call(self, call: ToolCall) -> Operation[bool]:
        """Record a tool call's begin or end; say whether that was news."""
        model.checked_call(call)
        keep, keys = self.keep, self.keys
        raw = model.encode(call)
        change = model.encode(ToolCallChange(call=call))
        names = (keys.calls(call.lifecycle_id), keys.calls_order(call.lifecycle_id), keys.changes)
        arguments = (call.tool_call_id, repr(call.started), raw, change)
        limits = (keep.calls, keep.seconds, keep.changes)
        [changed] = yield (_script(scripts.CALL, names, (*arguments, *limits)),)
        return bool(changed)

    def put_call_of(self, call: ToolCall, container: str, ip: str) -> Operation[ToolCall | None]:
        """Record a call whose lifecycle is found from the container, lifecycle id or address.

        Who held the name or address when the call started is what counts. Returns None when
        nobody is known to have; then the call waits to be found by a bind.
        """
        if not container:
            call = msgspec.structs.replace(call, ip=model.canonical_address(ip))
        lifecycle = yield from self.resolve(container, ip, call.started)
        if not lifecycle:
            waiting = _waiting_for(container or call.ip)
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

    def record(self, event: events.AnyEvent) -> Operation[bool]:
        """Publish an event, and tag the container it names; once, however often repeated.

        Says whether that was news. Raises LineageUnavailable when too few replicas have it: what
        the master alone has would go with it. Record it again until it does not raise.
        """
        line = events.encode(event)
        event_id = blake2b(line, digest_size=16).hexdigest()
        return (yield from self._record(event, line, event_id))

    def tag(self, event: events.AlertEvent) -> Operation[bool]:
        """Put an alert on its container's record without publishing it as an event."""
        return (yield from self._record(event, events.encode(event), ""))

    # -- reads ------------------------------------------------------------------------------

    def history(self, ip: str) -> Operation[History]:
        """Return all that is known of one address."""
        stored = yield from self._stored(model.canonical_address(ip))
        history = stored.history
        return History(history.ip, history.version, tuple(map(_shown, history.bindings)))

    def calls(self, lifecycles: Sequence[str]) -> Operation[list[ToolCall]]:
        """Return the tool calls of these lifecycles, by start."""
        found: list[ToolCall] = []
        for some in batched(lifecycles, _LOAD_BATCH):
            replies = yield [("HVALS", self.keys.calls(each)) for each in some]
            found.extend(readable(chain.from_iterable(replies), model.decode_call))
        return sorted(found, key=lambda call: call.started)

    def call(self, lifecycle: str, tool_call_id: str) -> Operation[ToolCall | None]:
        """Return a tool call of a lifecycle as it stands, None where it is not on record."""
        replies = yield (("HGET", self.keys.calls(lifecycle), tool_call_id),)
        return next(readable(replies, model.decode_call), None)

    def resolve(self, container: str, ip: str, at: float) -> Operation[str]:
        """Return the lifecycle id of a container name, lifecycle id or address then, or ''."""
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
            tuple(map(_shown, bindings)),
            tuple(calls),
            tuple(alerts),
        )

    def listing(self, limit: int) -> Operation[list[Binding]]:
        """Return the current bindings of the addresses changed last, newest first."""
        return [_shown(each) for each in (yield from self.current(limit))]

    def current(self, limit: int) -> Operation[list[Binding]]:
        """Return the same with all that each source said of them."""
        [ips] = yield (("ZREVRANGE", self.keys.addresses, 0, limit - 1),)
        found: list[Binding] = []
        for some in batched(ips, _LOAD_BATCH):
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
        bindings = [_shown(binding) for each in stored for binding in each.history.bindings]
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

    def _stored(self, ip: str) -> Operation[_Stored]:
        [stored] = yield from self._stored_many([ip])
        return stored

    def _stored_many(self, ips: Sequence[str]) -> Operation[list[_Stored]]:
        found: list[_Stored] = []
        for some in batched(ips, _LOAD_BATCH):
            replies = yield [command for ip in some for command in self._read(ip)]
            threes = batched(replies, 3)
            found += [_as_stored(ip, *three) for ip, three in zip(some, threes, strict=True)]
        return found

    def _read(self, ip: str) -> tuple[Command, ...]:
        # The version is read first: a change in between makes the commit fail, not succeed
        # upon something older than what was read.
        return (
            ("GET", self.keys.version(ip)),
            ("GET", self.keys.current(ip)),
            ("ZRANGE", self.keys.past(ip), -self.keep.bindings, -1),
        )

    @staticmethod
    def _others(hold: Binding, history: History) -> list[tuple[str, str]]:
        """Return under which ids calls may have been said of a lifecycle before it was known.

        Each comes with the address by which such a call was named, "" for its container's name.
        """
        last = history.before(hold)
        by_address = (*(last.lifecycles if last else ()), _waiting_for(hold.ip))
        others = [(other, hold.ip) for other in by_address if other not in hold.lifecycles]
        return [*others, (_waiting_for(hold.container), "")] if hold.container else others

    def _asked(self, hold: Binding, others: Sequence[tuple[str, str]]) -> Iterator[Command]:
        """Yield what asks for the calls of those, and for the container's start before this one."""
        for other, _ in others:
            yield ("HVALS", self.keys.calls(other))
        if hold.container:
            before = f"({hold.valid_from!r}"
            by_name = self.keys.lifecycles(hold.container)
            yield ("ZREVRANGEBYSCORE", by_name, before, "-inf", "LIMIT", 0, 1)

    def _gather_calls(
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

        Each other comes with the address by which its calls were named, "" for a name.
        """
        for (other, ip), raws in zip(others, replies, strict=True):
            for call in readable(raws, model.decode_call):
                if call.ip == ip and hold.covers(call.started):
                    yield from self._move_call(call, other, hold)

    def _move_call(self, call: ToolCall, other: str, hold: Binding) -> Operation[None]:
        placed = msgspec.structs.replace(call, lifecycle_id=hold.lifecycle_id)
        yield from self.put_call(placed)
        gone = model.encode(ToolCallChange(call=msgspec.structs.replace(call, moved=True)))
        limit = ("MAXLEN", "~", self.keep.changes)
        yield (
            ("HDEL", self.keys.calls(other), call.tool_call_id),
            ("ZREM", self.keys.calls_order(other), call.tool_call_id),
            ("XADD", self.keys.changes, *limit, "*", "change", gone),
        )

    def _commit(self, stored: _Stored, history: History, now: float) -> Command:
        """Return what replaces an address's history, and answers 0 where it has changed."""
        plan, names = self._plan(stored, history.trimmed(self.keep.bindings), now)
        return _script(scripts.COMMIT, names, (model.encode(plan),))

    def _plan(self, stored: _Stored, history: History, now: float) -> tuple[_Plan, list[str]]:
        keys, keep, ip = self.keys, self.keep, history.ip
        changed = [each for each in history.bindings if each.version == history.version]
        past = {each.serial: each for each in history.bindings if each.valid_to is not None}
        names = [keys.version(ip), keys.current(ip), keys.past(ip), keys.addresses, keys.changes]
        touched = [part for each in changed for part in _touched(each)]
        for part in touched:
            names += (
                keys.container(part.container),
                keys.lifecycles(part.container),
                keys.lifecycle_addresses(part.lifecycle_id),
            )
        stale = {each.serial for each in changed} | (stored.raws.keys() - past.keys())
        current = history.current
        plan = _Plan(
            ip=ip,
            now=repr(now),
            expected=stored.expected,
            version=str(history.version),
            current=_line(current) if current is not None else "",
            removed=[raw for serial, raw in stored.raws.items() if serial in stale],
            added=[(repr(each.valid_from), _line(each)) for each in changed if each.serial in past],
            changes=[_line(BindingChange(binding=_shown(each))) for each in changed],
            touched=touched,
            keep_seconds=str(keep.seconds),
            keep_addresses=str(keep.addresses),
            keep_lifecycles=str(keep.lifecycles),
            keep_changes=str(keep.changes),
        )
        return plan, names

    def _record(self, event: events.AnyEvent, line: bytes, event_id: str) -> Operation[bool]:
        keys, keep = self.keys, self.keep
        names = [keys.event_seen(event_id), keys.events]
        arguments: list[Argument] = [line, int(bool(event_id)), keep.events, keep.seen_seconds]
        who = _named_for_sure(event)
        if isinstance(event, events.AlertEvent) and who is not None:
            mark = f"{event.incident_id}/{event.flow_id}/{event.alert.signature_id}"
            names += (
                keys.incidents(who.lifecycle_id),
                keys.incidents_order(who.lifecycle_id),
                keys.container(who.container),
            )
            arguments += (mark, repr(_epoch(event.timestamp)), who.lifecycle_id)
            arguments += (keep.incidents, keep.seconds)
        news, *held = yield (_script(scripts.RECORD, names, arguments), *self._replicated())
        if held and int(held[0]) < self.replicas:
            raise LineageUnavailable(
                f"{held[0]} of {self.replicas} replicas have the event; it is kept until they do"
            )
        return bool(news)

    def _replicated(self) -> tuple[Command, ...]:
        """Return what, on the connection of a write, waits until replicas have it."""
        return (("WAIT", self.replicas, _REPLICAS_MS),) if self.replicas else ()

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
        """Return the lifecycle that a name meant then, its first one if that began later."""
        by_name = self.keys.lifecycles(subject)
        then, first, known = yield (
            ("ZREVRANGEBYSCORE", by_name, repr(at), "-inf", "LIMIT", 0, 1),
            ("ZRANGE", by_name, 0, 0),
            ("EXISTS", self.keys.lifecycle_addresses(subject)),
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
        for some in batched(lifecycles, _LOAD_BATCH):
            replies = yield [("HVALS", self.keys.incidents(each)) for each in some]
            alerts = readable(chain.from_iterable(replies), events.decode)
            found.extend(each for each in alerts if isinstance(each, events.AlertEvent))
        return sorted(found, key=lambda each: each.timestamp)


def _script(source: str, names: Sequence[str], arguments: Sequence[Argument]) -> Command:
    return ("EVAL", source, len(names), *names, *arguments)


def _as_stored(ip: str, version: Any, current: Any, past: Any) -> _Stored:
    raws = [raw for raw in (*past, current) if raw is not None]
    pairs = list(_readable_pairs(raws))
    history = History(ip, _version(version))
    for _, binding in pairs:
        history = history.learn(binding)
    kept = {binding.serial: raw for raw, binding in pairs if raw is not current}
    expected = text(version) if version is not None else ""
    return _Stored(
        History(ip, _version(version), history.bindings),
        expected,
        {serial: text(raw) for serial, raw in kept.items()},
    )


def _version(raw: Any) -> int:
    number = text(raw) if raw is not None else ""
    return int(number) if number.isdigit() else 0


def _readable_pairs(raws: Iterable[bytes]) -> Iterator[tuple[bytes, Binding]]:
    for raw in raws:
        try:
            yield raw, model.decode_binding(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue


def _touched(binding: Binding) -> Iterator[_Touched]:
    """Yield the record of the lifecycle, and for each other id of it only that it is known."""
    fields: list[tuple[str, str]] = []
    for name in binding.__struct_fields__:
        value = getattr(binding, name)
        if name in _NOT_ON_RECORD or value in ("", None, {}):
            continue
        if name == "labels":
            value = model.encode(value).decode()
        fields.append((name, repr(value) if isinstance(value, float) else str(value)))
    released = binding.valid_to is not None
    # An empty binding only marks a release that came early: there is no container to record yet.
    container = "" if binding.empty else binding.container
    start = repr(binding.valid_from)
    yield _Touched(container, binding.lifecycle_id, start, released, fields)
    for alias in binding.aliases:
        yield _Touched("", alias, start, released, [])


def _waiting_for(container: str) -> str:
    """Return the id under which calls wait for a container that nobody has bound."""
    return f"@{container}"


def _shown(binding: Binding) -> Binding:
    """Return the binding without what only the next change to it needs."""
    return msgspec.structs.replace(binding, claims=(), released=None) if binding.claims else binding


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


def _named_for_sure(event: events.AnyEvent) -> events.LineageInfo | None:
    """Return whose record an event goes on; a stale guess goes on nobody's."""
    who = event.lineage if isinstance(event, events.AlertEvent) else None
    return who if who and who.lifecycle_id and who.grade != model.Grade.STALE else None


def _line(record: Binding | BindingChange) -> str:
    return model.encode(record).decode()


def _epoch(timestamp: str) -> float:
    try:
        return datetime.fromisoformat(timestamp).timestamp()
    except ValueError:
        return 0.0
