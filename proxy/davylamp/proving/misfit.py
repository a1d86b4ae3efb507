"""Why a value has not a shape: the deepest part that differs, and what was asked of it.

It asks the compiled shapes themselves, part by part, so that it cannot disagree with the engine.
"""

import json
from dataclasses import dataclass

from davylamp.signatures.shape import MAYBE, MORE, compile_shape, optional_item
from davylamp.signatures.source import Node, Place, Scalar, Sequence, Table, canonical

_LONGEST = 60  # characters of a value that are shown


@dataclass(frozen=True, slots=True)
class Misfit:
    """``at`` is the path to the part; ``place`` is where the signature asks for something else."""

    at: str
    asked: str
    got: str
    place: Place


def misfit(shape: Node, value: object, at: str = "") -> Misfit | None:
    """Return the first part of a value that a shape does not fit; None where all of it does."""
    if compile_shape(shape).test(value):
        return None
    inner: Misfit | None = None
    match shape:
        case Sequence() if isinstance(value, list):
            inner = _in_list(shape, value, at)
        case Table(((Scalar("$all_of"), Sequence(shapes)),)):
            inner = next((one for part in shapes if (one := misfit(part, value, at))), None)
        case Table(entries) if isinstance(value, dict) and not _is_operator(shape):
            inner = _in_object(entries, value, at)
        case _:
            pass
    return inner or Misfit(at or "the message", written(shape), shown(value), shape.place)


def _in_list(shape: Sequence, value: list[object], at: str) -> Misfit | None:
    items = list(shape.items)
    more = bool(items) and isinstance(items[-1], Scalar) and items[-1].text == MORE
    if more:
        items.pop()
    for position, part in enumerate(value):
        if position >= len(items) and not more:
            break
        item = items[min(position, len(items) - 1)]
        inner, _ = optional_item(item)
        if not inner.test(part):
            return misfit(_without_mark(item), part, f"{at}[{position}]")
    return None


def _in_object(
    entries: tuple[tuple[Scalar, Node], ...], value: dict[str, object], at: str
) -> Misfit | None:
    for key, part in entries:
        name = key.text.removesuffix(MAYBE)
        path = f"{at}.{name}" if at else name
        if name not in value:
            if name == key.text:
                return Misfit(path, written(part), "no such member", part.place)
        elif found := misfit(part, value[name], path):
            return found
    return None


def _is_operator(shape: Table) -> bool:
    return bool(shape.entries) and shape.entries[0][0].text.startswith("$")


def _without_mark(item: Node) -> Node:
    match item:
        case Scalar(text, plain, place):
            return Scalar(text.removesuffix("?"), plain, place)
        case Table(((Scalar("$optional"), inner),)):
            return inner
        case _:
            return item


def written(shape: Node) -> str:
    """Return a shape as a person writes it, on one line."""
    return shape.text if isinstance(shape, Scalar) else canonical(shape)


def shown(value: object) -> str:
    """Return a value as JSON, cut where it is long."""
    text = json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text):,} characters)"
