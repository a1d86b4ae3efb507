"""Why an example that must match does not: its messages held against the signature."""

from collections.abc import Iterator
from pathlib import Path

from davylamp.flow import Direction
from davylamp.proving.combination import ENDS, unmet
from davylamp.proving.comparison import compare
from davylamp.signatures.fields import Fields
from davylamp.signatures.language import SIGNATURE
from davylamp.signatures.model import CombinedCondition, Signature
from davylamp.signatures.source import Node, read
from davylamp.signatures.vectors import Bytes, Vector

_MESSAGES = 3  # of an example that are shown


def condition_of(path: Path, signature: Signature) -> Node:
    """Return the condition of a signature as it stands in its file in a pack's folder."""
    assert signature.place is not None
    file = path / signature.place.file
    return Fields(read(file.read_bytes(), signature.place.file), SIGNATURE).node("when")


def why_not(path: Path, signature: Signature, vector: Vector) -> Iterator[str]:
    """Yield lines that say what of an example's messages is not as the signature asks.

    Nothing for conditions whose messages cannot be compared (see `compare`).
    """
    if isinstance(signature.condition, CombinedCondition):
        sides = {side: _said(vector, side) for side in Direction}
        yield from unmet(condition_of(path, signature), signature.condition.tree, sides)
        return
    asked = getattr(signature.condition, "direction", None)
    if asked is not None and not _said(vector, asked):
        yield f"the example has no bytes of the {ENDS[asked]}"
        return
    when = condition_of(path, signature)
    found = [
        one
        for side in Direction
        if asked in (None, side) and (said := _said(vector, side))
        for one in compare(when, signature.condition, said)
    ]
    for one in found[:_MESSAGES]:
        yield one.message
        yield from (f"  {problem}" for problem in one.problems)


def _said(vector: Vector, side: Direction) -> bytes:
    steps = (step for step in vector.steps if isinstance(step, Bytes))
    return b"".join(step.data for step in steps if step.direction is side)
