"""Finds the few signatures that a JSON message can match, whatever the size of the pack.

Strategy: conditions are filed under the exact ``method`` they ask for (``mining.*`` under what
stands before the first dot), and within that under one *anchor*: a member the message must have
together with something cheap about its value (what it is, a member inside it and what that is, its
length when it is a list, what stands at one of its positions). A lookup walks the message's own
members, so its cost follows the message; each condition is filed under the anchor that the fewest
others use.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from davylamp.signatures.model import FAMILY, JsonCondition, Signature, family_of
from davylamp.signatures.shape import Shape, TypedConstant

type _Values = dict[tuple[type, object], list[Filed]]
type Filed = tuple[Signature, JsonCondition]


class Inside(StrEnum):
    """What an anchor says of the member's value."""

    THERE = "is there"
    IS = "is"
    LENGTH = "is a list of the length"
    KEY = "has the member"
    KEY_IS = "has a member that is"
    ITEM_IS = "has an item that is"


class Anchor(NamedTuple):
    """A member ``name`` and something about its value.

    ``at`` is the length of a list, the position of an item or the name of a member inside.
    """

    name: str
    inside: Inside = Inside.THERE
    at: str | int | None = None
    value: TypedConstant | None = None

    def __str__(self) -> str:
        at = "" if self.at is None else f" {json.dumps(self.at)}"
        value = "" if self.value is None else f" {json.dumps(self.value[1])}"
        return f"{self.name} {self.inside}{at}{value}"


# A list shape of wider range than this is filed under "is there" instead of under each length.
_MAX_ARITIES = 12
_MAX_POSITIONS = 8  # at which an item's value is asked about

# That a message has these says nothing: every JSON-RPC message has some of them.
_EVERYWHERE = frozenset(map(Anchor, ("id", "jsonrpc", "method", "params", "result")))
_SIMPLE = frozenset({str, int, float, bool, type(None)})


@dataclass(slots=True)
class _Slot:
    """Conditions that are anchored at one member."""

    there: list[Filed] = field(default_factory=list)
    values: _Values = field(default_factory=dict)
    lengths: dict[int, list[Filed]] = field(default_factory=dict)
    keys: dict[str, list[Filed]] = field(default_factory=dict)
    key_values: dict[str, _Values] = field(default_factory=dict)
    item_values: dict[int, _Values] = field(default_factory=dict)

    def table(self, anchor: Anchor) -> list[Filed]:
        """Return the list that an anchor's conditions are filed in."""
        match anchor:
            case Anchor(inside=Inside.IS, value=value) if value is not None:
                return self.values.setdefault(value, [])
            case Anchor(inside=Inside.LENGTH, at=int(length)):
                return self.lengths.setdefault(length, [])
            case Anchor(inside=Inside.KEY, at=str(key)):
                return self.keys.setdefault(key, [])
            case Anchor(inside=Inside.KEY_IS, at=str(key), value=value) if value is not None:
                return self.key_values.setdefault(key, {}).setdefault(value, [])
            case Anchor(inside=Inside.ITEM_IS, at=int(at), value=value) if value is not None:
                return self.item_values.setdefault(at, {}).setdefault(value, [])
            case _:
                return self.there

    def collect(self, value: object, found: list[Filed]) -> None:
        """Add the conditions that a member with this value may meet."""
        found += self.there
        if isinstance(value, list):
            self._of_list(value, found)
        elif isinstance(value, dict):
            if self.keys or self.key_values:
                self._of_object(value, found)
        elif self.values:
            found += self.values.get((type(value), value), ())

    def _of_list(self, value: list[object], found: list[Filed]) -> None:
        if self.lengths:
            found += self.lengths.get(len(value), ())
        for at, table in self.item_values.items():
            if at < len(value) and type(value[at]) in _SIMPLE:
                found += table.get((type(value[at]), value[at]), ())

    def _of_object(self, value: dict[str, object], found: list[Filed]) -> None:
        for key, inner in value.items():
            if key in self.keys:
                found += self.keys[key]
            if (table := self.key_values.get(key)) is not None and type(inner) in _SIMPLE:
                found += table.get((type(inner), inner), ())


@dataclass(slots=True)
class _Drawer:
    """Conditions that share a method, by anchor."""

    anchored: dict[str, _Slot] = field(default_factory=dict)
    always: list[Filed] = field(default_factory=list)
    anchors: dict[Anchor, list[Filed]] = field(default_factory=dict)

    def collect(self, message: Mapping[str, object], found: list[Filed]) -> None:
        """Add the conditions that the message may meet."""
        found += self.always
        anchored = self.anchored
        for name, value in message.items():
            slot = anchored.get(name)
            if slot is not None:
                slot.collect(value, found)


class MessageIndex:
    """An index over the JSON conditions of a pack; built once, read by any number of flows."""

    __slots__ = ("_any_method", "_by_family", "_by_method")

    def __init__(self, conditions: Iterable[Filed]) -> None:
        filed: dict[str | None, list[Filed]] = {}
        for signature, condition in conditions:
            for method in _filed_under(condition.methods):
                filed.setdefault(method, []).append((signature, condition))
        drawers = {method: _drawer(conditions) for method, conditions in filed.items()}
        self._any_method = drawers.pop(None, _Drawer())
        named = {method: drawer for method, drawer in drawers.items() if method}
        self._by_family = {
            method.removesuffix(FAMILY): named.pop(method)
            for method in tuple(named)
            if method.endswith(FAMILY)
        }
        self._by_method = named

    def candidates(self, message: Mapping[str, object]) -> list[Filed]:
        """Return each signature whose condition is worth testing on the message, once."""
        found: list[Filed] = []
        method = message.get("method")
        if isinstance(method, str):
            if (drawer := self._by_method.get(method)) is not None:
                drawer.collect(message, found)
            word, dot, _ = method.partition(".")
            if dot and (drawer := self._by_family.get(word)) is not None:
                drawer.collect(message, found)
        self._any_method.collect(message, found)
        return found

    def places(self) -> Iterator[tuple[str, list[Filed]]]:
        """Yield every place of the index, in words, with the conditions that are filed there."""
        drawers = [("any method", self._any_method)]
        drawers += [(f"method {name!r}", drawer) for name, drawer in self._by_method.items()]
        drawers += [(f"methods {name}.*", drawer) for name, drawer in self._by_family.items()]
        for word, drawer in drawers:
            if drawer.always:
                yield word, drawer.always
            for anchor, filed in drawer.anchors.items():
                yield f"{word}, {anchor}", filed


def _filed_under(methods: tuple[str, ...]) -> tuple[str | None, ...]:
    """Return the methods to file a condition under, of which a message has one at most."""
    families = {method for method in methods if method.endswith(FAMILY)}
    named = (one for one in methods if one in families or family_of(one) not in families)
    return tuple(named) or (None,)


def _drawer(conditions: list[Filed]) -> _Drawer:
    drawer = _Drawer()
    choices = [(filed, list(_anchor_sets(filed[1]))) for filed in conditions]
    use = Counter(anchor for _, sets in choices for anchors in sets for anchor in anchors)

    def cost(anchor: Anchor) -> tuple[bool, int, bool]:
        return anchor in _EVERYWHERE, use[anchor], anchor.value is None

    for filed, sets in choices:
        if not sets:
            drawer.always.append(filed)
            continue
        for anchor in min(sets, key=lambda anchors: max(map(cost, anchors))):
            table = drawer.anchored.setdefault(anchor.name, _Slot()).table(anchor)
            table.append(filed)
            drawer.anchors[anchor] = table
    return drawer


def _anchor_sets(condition: JsonCondition) -> Iterator[tuple[Anchor, ...]]:
    """Yield the ways to file a condition: a message it matches has exactly one anchor of a set."""
    for name, shape in condition.members.members:
        if shape.constants:
            yield tuple(Anchor(name, Inside.IS, None, one) for one in shape.constants)
        elif shape.members:
            for inner, value in shape.members:
                yield (Anchor(name, Inside.KEY, inner),)
                if value.constants:
                    yield tuple(Anchor(name, Inside.KEY_IS, inner, one) for one in value.constants)
        elif shape.arity is not None:
            yield from _of_list(name, shape)
        else:
            yield (Anchor(name),)


def _of_list(name: str, shape: Shape) -> Iterator[tuple[Anchor, ...]]:
    low, high = shape.arity or (0, None)
    if high is not None and high - low < _MAX_ARITIES:
        yield tuple(Anchor(name, Inside.LENGTH, length) for length in range(low, high + 1))
    else:
        yield (Anchor(name),)
    for at, item in enumerate(shape.items[:_MAX_POSITIONS]):
        if item.constants:
            yield tuple(Anchor(name, Inside.ITEM_IS, at, one) for one in item.constants)
