"""Combinations of a pack: which leaves wake which signatures.

A combination is filed under as few leaves as every way to meet it has one of, and of those under
the ones that the fewest combinations share. Until one of these was seen on a flow, the combination
costs it nothing, however common its other leaves are.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from davylamp.signatures.flights import Sized
from davylamp.signatures.model import (
    Absent,
    AllOf,
    AnyOf,
    Category,
    CombinedCondition,
    Leaf,
    Maturity,
    Role,
    Signature,
    SignatureId,
    Tree,
)

type Combined = tuple[Signature, CombinedCondition]


class CombinationIndex:
    """Combined conditions of a pack."""

    __slots__ = ("_woken", "measures", "parts")

    def __init__(self, combined: Iterable[Combined]) -> None:
        listed = list(combined)
        use = Counter(leaf for _, one in listed for leaf in dict.fromkeys(one.leaves()))
        self._woken: dict[Leaf, list[Combined]] = {}
        for signature, condition in listed:
            for leaf in _cover(condition.tree, use) or ():
                self._woken.setdefault(leaf, []).append((signature, condition))
        # Leaves that are written alike are one: the one that is kept here.
        self.parts: tuple[Signature, ...] = tuple(map(_part, use))
        """A signature for each leaf, by which the other indexes find it."""
        self.measures = any(next(one.sized(), None) is not None for _, one in listed)
        """Whether any asks for the sizes of flights."""

    def __bool__(self) -> bool:
        return bool(self._woken)

    def woken_by(self, leaf: Leaf) -> list[Combined]:
        """Return the combinations that a leaf wakes."""
        return self._woken.get(leaf, [])

    def places(self) -> Iterator[tuple[str, list[Combined]]]:
        """Yield every leaf that wakes a combination, with the combinations."""
        for leaf, combined in self._woken.items():
            yield f"flows that met {leaf.written}", combined


def _cover(tree: Tree, use: Mapping[Leaf, int]) -> tuple[Leaf, ...] | None:
    """Return leaves of which every way to meet a tree has one; None where there is no such set."""
    match tree:
        case Leaf():
            return (tree,)
        case Absent() | Sized():
            return None
        case AllOf(parts):
            covers = [one for part in parts if (one := _cover(part, use)) is not None]
            return min(covers, key=lambda one: max(use[leaf] for leaf in one), default=None)
        case AnyOf(parts):
            covers = [one for part in parts if (one := _cover(part, use)) is not None]
            return tuple(dict.fromkeys(chain(*covers))) if len(covers) == len(parts) else None


def _part(leaf: Leaf) -> Signature:
    return Signature(
        id=SignatureId(leaf.written),
        rev=1,
        title=leaf.written,
        category=Category.ANOMALY,
        dialect="",
        role=Role.EITHER,
        confidence=0,
        severity=4,
        maturity=Maturity.SANDBOX,
        detail="",
        condition=leaf.condition,
        part=leaf,
    )
