"""What is on a pack's lists: host names and endpoints, each list's rows in one table for all.

A name's or endpoint's rows are kept flat as ``(list, row, list, row, ...)``, because there may be
hundreds of thousands: nearly all are on one list. Which signature a list stands for differs by the
field that a name was seen in.
"""

from collections.abc import Iterable, Iterator, Mapping

from davylamp.signatures.endpoints import EndpointEntry
from davylamp.signatures.model import (
    EndpointCondition,
    EndpointMatch,
    NameCondition,
    NameMatch,
    Signature,
)
from davylamp.signatures.names import Kind, NameEntry, candidates

type _Rows[E] = tuple[str | E, ...]

_REMEMBERED = 1024
"""Names of a field that are known to be on no list: sandboxes ask for the same few hosts."""


class NameIndex:
    """Name conditions of a pack."""

    __slots__ = ("_fields", "_parts", "_table", "_unlisted")

    def __init__(
        self,
        conditions: Iterable[tuple[Signature, NameCondition]],
        lists: Mapping[str, tuple[NameEntry, ...]],
    ) -> None:
        self._fields: dict[str, dict[str, Signature]] = {}
        self._parts: dict[str, dict[str, tuple[Signature, ...]]] = {}
        for signature, condition in conditions:
            if signature.part:
                parts = self._parts.setdefault(condition.field, {})
                parts[condition.list] = (*parts.get(condition.list, ()), signature)
            else:
                signatures = self._fields.setdefault(condition.field, {})
                known = signatures.get(condition.list)
                signatures[condition.list] = surer(known, signature)
        used = {one for table in self._fields.values() for one in table}
        used |= {one for table in self._parts.values() for one in table}
        self._table: dict[str, _Rows[NameEntry]] = {}
        for name in sorted(used):
            _add(self._table, name, ((entry.name, entry) for entry in lists[name]))
        self._unlisted: dict[str, set[str]] = {
            field: set() for field in (*self._fields, *self._parts)
        }

    def match(self, field: str, name: str) -> NameMatch | None:
        """Return the entry that a host name seen in ``field`` falls under, or None."""
        signatures = self._fields.get(field)
        if not signatures:
            return None
        for key in candidates(name):
            rows = self._table.get(key)
            if rows is None:
                continue
            best: NameMatch | None = None
            for listed, entry in _pairs(rows):
                signature = signatures.get(listed)
                if signature is not None and (
                    best is None or surer(best.signature, signature) is signature
                ):
                    best = NameMatch(signature, entry)
            if best is not None:
                return None if best.entry.kind is Kind.WEBSITE else best
        return None

    def match_all(self, field: str, name: str) -> tuple[NameMatch, ...]:
        """Return the same, and the entries that it falls under for parts of combinations."""
        unlisted = self._unlisted.get(field)
        if unlisted is None or name in unlisted:
            return ()
        match = self.match(field, name)
        own = () if match is None else (match,)
        found = (*own, *self._match_parts(field, name))
        if not found:
            if len(unlisted) >= _REMEMBERED:
                unlisted.clear()
            unlisted.add(name)
        return found

    def _match_parts(self, field: str, name: str) -> Iterator[NameMatch]:
        lists = self._parts.get(field)
        if not lists:
            return
        longest: dict[str, NameEntry] = {}
        for key in candidates(name):
            for listed, entry in _pairs(self._table.get(key, ())):
                longest.setdefault(listed, entry)
        for listed, entry in longest.items():
            if entry.kind is not Kind.WEBSITE:
                yield from (NameMatch(part, entry) for part in lists.get(listed, ()))

    def places(self) -> Iterator[tuple[str, list[Signature]]]:
        """Yield every place of the index, in words, with what is filed there."""
        for field, signatures in self._fields.items():
            for name, signature in signatures.items():
                yield f"names in {field}, on the list {name}", [signature]
        for field, lists in self._parts.items():
            for name, parts in lists.items():
                yield f"names in {field}, on the list {name}", list(parts)


class EndpointIndex:
    """Endpoint conditions of a pack."""

    __slots__ = ("_parts", "_signatures", "_table", "keys")

    def __init__(
        self,
        conditions: Iterable[tuple[Signature, EndpointCondition]],
        lists: Mapping[str, tuple[EndpointEntry, ...]],
    ) -> None:
        self._signatures: dict[str, Signature] = {}
        self._parts: dict[str, tuple[Signature, ...]] = {}
        for signature, condition in conditions:
            if signature.part:
                self._parts[condition.list] = (*self._parts.get(condition.list, ()), signature)
            else:
                known = self._signatures.get(condition.list)
                self._signatures[condition.list] = surer(known, signature)
        self._table: dict[bytes, _Rows[EndpointEntry]] = {}
        for name in sorted({*self._signatures, *self._parts}):
            rows = ((entry.key, entry) for entry in lists[name])
            _add(self._table, name, rows)
        self.keys = self._table.keys()
        """Every endpoint listed, expired or not: a packed address with its port behind it."""

    def __bool__(self) -> bool:
        return bool(self._table)

    def match(self, key: bytes, now: float) -> tuple[EndpointMatch, ...]:
        """Return what an endpoint is listed as at ``now``, in seconds since the epoch.

        ``key`` is a packed address and, behind it, a port of two bytes. What is returned is one
        signature at most, and the parts of combinations.
        """
        rows = self._table.get(key)
        if rows is None:
            return ()
        best: EndpointMatch | None = None
        parts: list[EndpointMatch] = []
        for listed, entry in _pairs(rows):
            if now >= entry.expires:
                continue
            parts += (EndpointMatch(part, entry) for part in self._parts.get(listed, ()))
            signature = self._signatures.get(listed)
            if signature is not None and (
                best is None or surer(best.signature, signature) is signature
            ):
                best = EndpointMatch(signature, entry)
        return tuple(parts) if best is None else (best, *parts)

    def places(self) -> Iterator[tuple[str, list[Signature]]]:
        """Yield every place of the index, in words, with what is filed there."""
        for name, signature in self._signatures.items():
            yield f"endpoints on the list {name}", [signature]
        for name, parts in self._parts.items():
            yield f"endpoints on the list {name}", list(parts)


def surer(one: Signature | None, other: Signature) -> Signature:
    """Return which of two signatures on the same list answers."""
    if one is None or (one.confidence, one.id) < (other.confidence, other.id):
        return other
    return one


def _add[K, E](table: dict[K, _Rows[E]], name: str, rows: Iterable[tuple[K, E]]) -> None:
    for key, entry in rows:
        known = table.get(key)
        table[key] = (name, entry) if known is None else (*known, name, entry)


def _pairs[E](rows: _Rows[E]) -> Iterator[tuple[str, E]]:
    for at in range(0, len(rows), 2):
        yield rows[at], rows[at + 1]  # type: ignore[misc]
