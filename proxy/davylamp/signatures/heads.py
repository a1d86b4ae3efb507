"""Finds the conditions that the head of an HTTP message can meet.

Filed under the path or the host asked for, else under one header field: under its value where that
is fixed, under how the value begins, or under its name. A head that has none of it costs a few
look-ups and, where some condition is filed under a field, one for each line.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from davylamp.flow import Direction
from davylamp.signatures.conditions import ANY
from davylamp.signatures.language import MIN_ANCHOR
from davylamp.signatures.model import HttpCondition, Signature
from davylamp.signatures.names import find_all
from davylamp.signatures.prefixes import Prefixes
from davylamp.signatures.shape import Shape

type Filed = tuple[Signature, HttpCondition]
BENEATH = "*."

_NAMES = re.compile(rb"\n([^:\s]++)[ \t]*+:")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_FEW = 8  # field names that are looked for one by one

type Fields = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Head:
    """A head as conditions ask about it: ``path`` without its query, ``host`` without its port."""

    direction: Direction
    method: str = ""
    path: str = ""
    host: str = ""


@dataclass(slots=True)
class _FieldSlot:
    """Conditions that are filed under one header field."""

    there: list[Filed] = field(default_factory=list)
    values: dict[str, list[Filed]] = field(default_factory=dict)
    prefixes: Prefixes[str, Filed] = field(default_factory=Prefixes)
    gate: frozenset[bytes] = frozenset()
    """What values begin with that are worth a look, where ``there`` is empty."""

    def close(self) -> None:
        """Note that nothing more is filed."""
        starts = (*self.prefixes.gate, *(value[:MIN_ANCHOR] for value in self.values))
        self.gate = frozenset(start.encode("latin-1", "replace") for start in starts)

    def find(self, value: str, found: list[Filed]) -> None:
        """Add what may fit a value."""
        found += self.there
        if value in self.values:
            found += self.values[value]
        if value[:MIN_ANCHOR] in self.prefixes.gate:
            found += self.prefixes.find(value)


class HeadIndex:
    """HTTP conditions of a pack."""

    __slots__ = (
        "_domains",
        "_fields",
        "_hosts",
        "_markers",
        "_path_starts",
        "_paths",
        "_starts",
    )

    def __init__(self, conditions: Iterable[Filed]) -> None:
        self._paths: dict[str, list[Filed]] = {}
        self._path_starts: Prefixes[str, Filed] = Prefixes()
        self._hosts: dict[str, list[Filed]] = {}
        self._domains: dict[str, list[Filed]] = {}  # every name beneath
        self._fields: dict[bytes, _FieldSlot] = {}
        listed = list(conditions)
        names = Counter(
            name
            for _, condition in listed
            if condition.headers is not None
            for name, _ in condition.headers.members
        )
        for filed in listed:
            self._file(filed, names)
        for slot in self._fields.values():
            slot.close()
        self._starts = frozenset(self._path_starts.gate)
        self._markers = tuple((b"\n" + name, slot) for name, slot in self._fields.items())

    def __bool__(self) -> bool:
        return bool(
            self._paths or self._path_starts or self._hosts or self._domains or self._fields
        )

    def of_request(self, path: str, host: str, raw: bytes, lower: bytes) -> list[Filed]:
        """Return the conditions that are filed under what a request asks for, or its fields.

        ``raw`` is its head without folded lines (`unfolded`), ``lower`` that in lower case.
        """
        found = self._requested(path, host)
        if self._fields:
            self._headed(raw, lower, found)
        return found

    def of_response(self, raw: bytes, lower: bytes) -> list[Filed]:
        """Return the conditions that are filed under a response's fields, as above."""
        found: list[Filed] = []
        if self._fields:
            self._headed(raw, lower, found)
        return found

    def asks_for(self, path: str, host: str) -> bool:
        """Tell whether a condition is filed under what a request asks for."""
        return bool(self._requested(path, host))

    def asks_about(self, name: bytes) -> bool:
        """Tell whether a condition is filed under a header field of this name."""
        return name.strip().lower() in self._fields

    def _requested(self, path: str, host: str) -> list[Filed]:
        found: list[Filed] = []
        host = host.rstrip(".")
        if path in self._paths:
            found += self._paths[path]
        if path[:MIN_ANCHOR] in self._starts:
            found += self._path_starts.find(path)
        if host in self._hosts:
            found += self._hosts[host]
        if self._domains:
            for filed in find_all(self._domains, host):
                found += filed
        return found

    def _headed(self, raw: bytes, lower: bytes, found: list[Filed]) -> None:
        fields = self._fields
        if len(fields) <= _FEW:
            for marker, slot in self._markers:
                if (at := lower.find(marker)) >= 0:
                    _values(raw, lower, at, marker, slot, found)
            return
        for name in dict.fromkeys(_NAMES.findall(lower)):
            if name in fields:
                marker = b"\n" + name
                _values(raw, lower, lower.find(marker), marker, fields[name], found)

    @staticmethod
    def match(candidates: list[Filed], head: Head, fields: Fields) -> tuple[Signature, ...]:
        """Return what a head with these fields (names in lower case) meets, each once."""
        return tuple(
            {
                signature: None
                for signature, condition in candidates
                if condition.direction is head.direction and fits(condition, head, fields)
            }
        )

    def places(self) -> Iterator[tuple[str, list[Filed]]]:
        """Yield every place of the index, in words, with the conditions that are filed there."""
        for path, filed in self._paths.items():
            yield f"requests for {path}", filed
        for start, filed in self._path_starts.items():
            yield f"requests for {start}{ANY}", filed
        for host, filed in (*self._hosts.items(), *self._domains.items()):
            yield f"requests to {host}", filed
        for name, slot in self._fields.items():
            word = f"heads with the field {name.decode('latin-1')}"
            if slot.there:
                yield word, slot.there
            for value, filed in slot.values.items():
                yield f"{word}: {value}", filed
            for start, filed in slot.prefixes.items():
                yield f"{word}: {start}...", filed

    def _file(self, filed: Filed, names: Counter[str]) -> None:
        condition = filed[1]
        if condition.paths:
            for path in condition.paths:
                if path.endswith(ANY):
                    self._path_starts.add(path.removesuffix(ANY), filed)
                else:
                    self._paths.setdefault(path, []).append(filed)
        elif condition.hosts:
            for host in condition.hosts:
                table = self._domains if host.startswith(BENEATH) else self._hosts
                table.setdefault(host, []).append(filed)
        elif condition.headers is not None:
            name, shape = min(condition.headers.members, key=lambda member: _cost(member, names))
            slot = self._fields.setdefault(name.encode("latin-1", "replace"), _FieldSlot())
            _into(slot, shape, filed)


def unfolded(raw: bytes) -> bytes:
    """Return a head, or its fields alone with those lines joined that are folded (obs-fold)."""
    if raw.find(b"\n ") < 0 and raw.find(b"\n\t") < 0:
        return raw
    fields = raw[raw.find(b"\n") + 1 :]
    return b"\n" + _FOLD.sub(b" ", fields).lstrip(b" \t")


def _values(  # noqa: PLR0913, PLR0917 - where to look, for what, and where to put it
    raw: bytes, lower: bytes, at: int, marker: bytes, slot: _FieldSlot, found: list[Filed]
) -> None:
    """Add what is filed under the values of the fields whose line begins with ``marker``.

    ``at`` is where the first of them may be, -1 where none is.
    """
    while at >= 0:
        at += len(marker)
        name, colon, value = raw[at : lower.find(b"\n", at)].partition(b":")
        if colon and not name.strip(b" \t"):
            value = value.strip()
            if slot.there or value[:MIN_ANCHOR] in slot.gate:
                slot.find(value.decode("latin-1"), found)
        at = lower.find(marker, at)


def _cost(member: tuple[str, Shape], names: Counter[str]) -> tuple[int, int]:
    name, shape = member
    if shape.constants:
        return 0, names[name]
    return 1 if _anchors(shape) else 2, names[name]


def _anchors(shape: Shape) -> bool:
    return bool(shape.prefixes) and min(map(len, shape.prefixes)) >= MIN_ANCHOR


def _into(slot: _FieldSlot, shape: Shape, filed: Filed) -> None:
    texts = [one for kind, one in shape.constants if kind is str and isinstance(one, str)]
    if shape.constants:
        for text in texts:
            slot.values.setdefault(text, []).append(filed)
    elif _anchors(shape):
        for prefix in shape.prefixes:
            slot.prefixes.add(prefix, filed)
    else:
        slot.there.append(filed)


def fits(condition: HttpCondition, head: Head, fields: Fields) -> bool:
    """Tell whether a head meets a condition."""
    if condition.methods and head.method not in condition.methods:
        return False
    if condition.paths and not any(_path_fits(path, head.path) for path in condition.paths):
        return False
    if condition.hosts and not find_all(dict.fromkeys(condition.hosts, True), head.host):
        return False
    shape = condition.headers
    if shape is None:
        return True
    # Of a field that is written twice, receivers take the first or the last.
    last, first = dict(fields), dict(reversed(fields))
    return shape.test(last) or (first != last and shape.test(first))


def _path_fits(asked: str, path: str) -> bool:
    return path.startswith(asked.removesuffix(ANY)) if asked.endswith(ANY) else path == asked
