"""Finds the few signatures that a JSON message can match, whatever the size of the pack.

Strategy: conditions are filed under the exact ``method`` they ask for, and within that under one
*anchor*: a member the message must have together with something cheap about its value (a member
inside it, or its length when it is a list). A lookup walks the message's own members, so its cost
follows the message; each condition is filed under the anchor that the fewest others use.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from davylamp.signatures.model import JsonCondition, Signature

type Anchor = tuple[str, str | int | None]
type Filed = tuple[Signature, JsonCondition]

# A list shape of wider range than this is filed under "is there" instead of under each length.
_MAX_ARITIES = 12


@dataclass(slots=True)
class _Drawer:
    """Conditions that share a method, by anchor: member name, then what is inside it."""

    anchored: dict[str, dict[str | int | None, list[Filed]]] = field(default_factory=dict)
    always: list[Filed] = field(default_factory=list)

    def candidates(self, message: Mapping[str, object]) -> Iterator[Filed]:
        yield from self.always
        anchored = self.anchored
        if not anchored:
            return
        for name, value in message.items():
            inside = anchored.get(name)
            if inside is None:
                continue
            yield from inside.get(None, ())
            if isinstance(value, list):
                yield from inside.get(len(value), ())
            elif isinstance(value, dict):
                for key in value:
                    yield from inside.get(key, ())


class MessageIndex:
    """An index over the JSON conditions of a pack; built once, read by any number of flows."""

    __slots__ = ("_any_method", "_by_method")

    def __init__(self, signatures: Iterable[Signature]) -> None:
        filed: dict[str | None, list[Filed]] = {}
        for signature in signatures:
            condition = signature.condition
            if isinstance(condition, JsonCondition):
                filed.setdefault(condition.method, []).append((signature, condition))
        drawers = {method: _drawer(conditions) for method, conditions in filed.items()}
        self._any_method = drawers.pop(None, _Drawer())
        self._by_method = {method: drawer for method, drawer in drawers.items() if method}

    def candidates(self, message: Mapping[str, object]) -> Iterator[Filed]:
        """Yield each signature whose condition is worth testing on the message, once."""
        method = message.get("method")
        if isinstance(method, str):
            drawer = self._by_method.get(method)
            if drawer is not None:
                yield from drawer.candidates(message)
        yield from self._any_method.candidates(message)


def _drawer(conditions: list[Filed]) -> _Drawer:
    drawer = _Drawer()
    choices = [(filed, list(_anchor_sets(filed[1]))) for filed in conditions]
    use = Counter(anchor for _, sets in choices for anchors in sets for anchor in anchors)
    for filed, sets in choices:
        if not sets:
            drawer.always.append(filed)
            continue
        for name, inside in min(sets, key=lambda anchors: max(use[anchor] for anchor in anchors)):
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
