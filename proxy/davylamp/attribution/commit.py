"""An address's history as Redis holds it, and the command that replaces it whole or not at all."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from davylamp.attribution import model, scripts
from davylamp.attribution.history import History
from davylamp.attribution.model import Binding, BindingChange
from davylamp.attribution.operation import Command, Kept, script
from davylamp.attribution.replies import text

_NOT_ON_RECORD = frozenset({"ip", "serial", "version", "aliases", "claims", "cut", "released"})


@dataclass(frozen=True, slots=True)
class Stored:
    """An address's history with the very bytes that Redis holds for each binding."""

    history: History
    expected: str
    raws: dict[int, str] = field(default_factory=dict)


def reading(kept: Kept, ip: str) -> tuple[Command, ...]:
    """Return what reads an address; `as_stored` takes its three replies."""
    # The version is read first: a change in between makes the commit fail, not succeed
    # upon something older than what was read.
    return (
        ("GET", kept.keys.version(ip)),
        ("GET", kept.keys.current(ip)),
        ("ZRANGE", kept.keys.past(ip), -kept.keep.bindings, -1),
    )


def as_stored(ip: str, version: Any, current: Any, past: Any) -> Stored:
    """Return what Redis answered to `reading`; what cannot be read is passed over."""
    raws = [raw for raw in (*past, current) if raw is not None]
    pairs = list(_readable_pairs(raws))
    history = History(ip, _version(version))
    for _, binding in pairs:
        history = history.learn(binding)
    kept = {binding.serial: raw for raw, binding in pairs if raw is not current}
    expected = text(version) if version is not None else ""
    return Stored(
        History(ip, _version(version), history.bindings),
        expected,
        {serial: text(raw) for serial, raw in kept.items()},
    )


def commit(kept: Kept, stored: Stored, history: History, now: float) -> Command:
    """Return what replaces an address's history, and answers 0 where it has changed."""
    plan, names = _plan(kept, stored, history.trimmed(kept.keep.bindings), now)
    return script(scripts.COMMIT, names, (model.encode(plan),))


def shown(binding: Binding) -> Binding:
    """Return the binding without what only the next change to it needs."""
    return msgspec.structs.replace(binding, claims=(), released=None) if binding.claims else binding


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


def _plan(kept: Kept, stored: Stored, history: History, now: float) -> tuple[_Plan, list[str]]:
    keys, keep, ip = kept.keys, kept.keep, history.ip
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
        changes=[_line(BindingChange(binding=shown(each))) for each in changed],
        touched=touched,
        keep_seconds=str(keep.seconds),
        keep_addresses=str(keep.addresses),
        keep_lifecycles=str(keep.lifecycles),
        keep_changes=str(keep.changes),
    )
    return plan, names


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


def _version(raw: Any) -> int:
    number = text(raw) if raw is not None else ""
    return int(number) if number.isdigit() else 0


def _readable_pairs(raws: Iterable[bytes]) -> Iterator[tuple[bytes, Binding]]:
    for raw in raws:
        try:
            yield raw, model.decode_binding(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue


def _line(record: Binding | BindingChange) -> str:
    return model.encode(record).decode()
