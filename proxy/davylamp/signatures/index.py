"""Finds the few signatures that a JSON message can match, whatever the size of the pack.

Strategy: conditions are filed under the exact ``method`` they ask for (``mining.*`` under what
stands before the first dot), and within that under one *anchor*: a member the message must have
together with something cheap about its value (a member inside it, or its length when it is a list).
A lookup walks the message's own members, so its cost follows the message; each condition is filed
under the anchor that the fewest others use.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from davylamp.signatures.model import FAMILY, JsonCondition, Signature

type Anchor = tuple[str, str | int | None]
type Filed = tuple[Signature, JsonCondition]

# A list shape of wider range than this is filed under "is there" instead of under each length.
_MAX_ARITIES = 12

# That a message has these says nothing: every JSON-RPC message has some of them.
_EVERYWHERE = frozenset((name, None) for name in ("id", "jsonrpc", "method", "params", "result"))


@dataclass(slots=True)
class _Drawer:
    """Conditions that share a method, by anchor: member name, then what is inside it."""

    anchored: dict[str, dict[str | int | None, list[Filed]]] = field(default_factory=dict)
    always: list[Filed] = field(default_factory=list)

    def collect(self, message: Mapping[str, object], found: list[Filed]) -> None:
        """Add the conditions that the message may meet."""
        found += self.always
        anchored = self.anchored
        for name, value in message.items():
            inside = anchored.get(name)
            if inside is None:
                continue
            if None in inside:
                found += inside[None]
            if isinstance(value, list):
                found += inside.get(len(value), ())
            elif isinstance(value, dict):
                for key in value:
                    if key in inside:
                        found += inside[key]


class MessageIndex:
    """An index over the JSON conditions of a pack; built once, read by any number of flows."""

    __slots__ = ("_any_method", "_by_family", "_by_method")

    def __init__(self, signatures: Iterable[Signature]) -> None:
        filed: dict[str | None, list[Filed]] = {}
        for signature in signatures:
            condition = signature.condition
            if isinstance(condition, JsonCondition):
                for method in condition.methods or (None,):
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
            if (drawer := self._by_family.get(method.partition(".")[0])) is not None:
                drawer.collect(message, found)
        self._any_method.collect(message, found)
        return found


def _drawer(conditions: list[Filed]) -> _Drawer:
    drawer = _Drawer()
    choices = [(filed, list(_anchor_sets(filed[1]))) for filed in conditions]
    use = Counter(anchor for _, sets in choices for anchors in sets for anchor in anchors)

    def cost(anchor: Anchor) -> tuple[bool, int]:
        return anchor in _EVERYWHERE, use[anchor]

    for filed, sets in choices:
        if not sets:
            drawer.always.append(filed)
            continue
        for name, inside in min(sets, key=lambda anchors: max(map(cost, anchors))):
            drawer.anchored.setdefault(name, {}).setdefault(inside, []).append(filed)
    return drawer


def _anchor_sets(condition: JsonCondition) -> Iterator[tuple[Anchor, ...]]:
    """Yield the ways to file a condition: a message it matches has exactly one anchor of a set."""
    for name, shape in condition.members.members:
        if shape.members:
            for inner, _ in shape.members:
                yield ((name, inner),)
        elif shape.arity is not None and (high := shape.arity[1]) is not None:
            low = shape.arity[0]
            if high - low < _MAX_ARITIES:
                yield tuple((name, length) for length in range(low, high + 1))
        else:
            yield ((name, None),)
