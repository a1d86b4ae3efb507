"""What of a combination of conditions is not met by what both sides of a flow said."""

from collections.abc import Iterator, Mapping

from davylamp.flow import Direction
from davylamp.proving.comparison import compare
from davylamp.signatures.model import (
    Absent,
    AllOf,
    AnyOf,
    BytesCondition,
    JsonCondition,
    Leaf,
    LineCondition,
    Simple,
    Tree,
)
from davylamp.signatures.source import Node, Sequence, Table, canonical

ENDS = {Direction.ORIGINATOR: "client", Direction.RESPONDER: "server"}
"""The sides of a flow, as a signature names them."""

type Said = Mapping[Direction, bytes]
"""The bytes of each side of a flow."""


def unmet(node: Node, tree: Tree, said: Said) -> Iterator[str]:
    """Yield what keeps a combination from being met, a line each.

    ``node`` is the tree as it is written. A condition that cannot be compared (see `compare`) is
    taken for met.
    """
    match tree:
        case Leaf():
            if not _met(node, tree.condition, said):
                yield f"not met: {canonical(node)}"
        case AllOf(parts):
            for part, inner in zip(_listed(node), parts, strict=True):
                yield from unmet(part, inner, said)
        case AnyOf(parts):
            pairs = zip(_listed(node), parts, strict=True)
            reasons = [tuple(unmet(part, inner, said)) for part, inner in pairs]
            if all(reasons):
                yield from (line for lines in reasons for line in lines)
        case Absent():
            yield from _present(node, tree, said)


def _present(node: Node, absent: Absent, said: Said) -> Iterator[str]:
    condition = _inner(_inner(node, "not"), "condition")
    if _met(condition, absent.leaf.condition, said):
        yield f"not: this is there: {canonical(condition)}"
    sides = [absent.direction] if absent.direction else list(Direction)
    for side in sides:
        if (size := len(said[side])) < absent.enough:
            wanted = f"{absent.enough:,} bytes of the {ENDS[side]}"
            yield f"not: waits for {wanted}, and there are {size:,}"


def _met(node: Node, condition: Simple, said: Said) -> bool:
    if not isinstance(condition, JsonCondition | LineCondition | BytesCondition):
        return True
    return any(
        not one.problems
        for side in Direction
        if condition.direction in (None, side) and said[side]
        for one in compare(node, condition, said[side])
    )


def _listed(node: Node) -> tuple[Node, ...]:
    assert isinstance(node, Table)
    [(_, parts)] = node.entries
    assert isinstance(parts, Sequence)
    return tuple(parts.items)


def _inner(node: Node, key: str) -> Node:
    assert isinstance(node, Table)
    return next(value for name, value in node.entries if name.text == key)
