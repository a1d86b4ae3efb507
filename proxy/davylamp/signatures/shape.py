"""What a JSON value must look like, compiled from a small declarative grammar.

Strategy: a shape is compiled once into a closure from value to bool, and keeps what an index needs
to file it (its required members, its arity). A check looks at each part of the matched value at
most once, so it costs no more than the value's size; it recurses only as deep as the shape is
written; there is no backtracking. docs/signatures.md has the grammar as a table.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from davylamp.signatures.source import (
    Constant,
    Node,
    Scalar,
    Sequence,
    Table,
    fault,
    suggest,
)
from davylamp.signatures.words import Test, compile_word, is_anything

MAX_SHAPE_DEPTH = 8

type TypedConstant = tuple[type, Constant]
"""A value with its type: to Python 1 == True == 1.0, to JSON they are three values."""

OPTIONAL = "$optional"
MORE = "..."
MAYBE = "?"
"""Ends the name of a member that may be missing."""

MAX_SHAPES = 256
"""Shapes inside one, each of which may look at all of a value; constants are looked up."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A compiled shape.

    ``members`` are the members an object must have, with their shapes; ``arity`` the least and
    greatest length of a positional array (None: no limit), ``items`` the shapes of those that must
    be there. ``constants`` are all values that it allows, with their types; ``prefixes`` what a
    string must begin with, one of them. All are empty for other shapes.
    """

    test: Test
    members: "tuple[tuple[str, Shape], ...]" = ()
    arity: tuple[int, int | None] | None = None
    items: "tuple[Shape, ...]" = ()
    constants: tuple[TypedConstant, ...] = ()
    prefixes: tuple[str, ...] = ()


def compile_shape(node: Node, depth: int = 0) -> Shape:
    """Compile a shape; raise PackError that names the place and says what to write instead."""
    if depth > MAX_SHAPE_DEPTH:
        raise fault(node.place, f"a shape may nest {MAX_SHAPE_DEPTH} deep; say less")
    if not depth and _size(node) > MAX_SHAPES:
        raise fault(node.place, f"more than {MAX_SHAPES} shapes; make several signatures of it")
    match node:
        case Scalar():
            return _words(node)
        case Sequence():
            return _array(node, depth)
        case Table():
            if node.entries and node.entries[0][0].text.startswith("$"):
                return _operator(node, depth)
            return _object(node, depth)


def _size(node: Node) -> int:
    match node:
        case Scalar(text):
            return 1 + text.count("|")
        case Sequence(items):
            return 1 + sum(map(_size, items))
        case Table(((Scalar("$in"), _),)):
            return 1
        case Table(entries):
            return 1 + sum(_size(value) for _, value in entries)


# --- words: "string", "hex:64", "string|null" ---------------------------------------------


def _words(node: Scalar) -> Shape:
    tests = tuple(compile_word(word.strip(), node.place) for word in node.text.split("|"))
    if len(tests) == 1:
        return Shape(tests[0])
    return Shape(lambda value: any(test(value) for test in tests))


# --- lists: [a, b, c?, ...] ---------------------------------------------------------------


def _array(node: Sequence, depth: int) -> Shape:
    items = list(node.items)
    more = bool(items) and isinstance(items[-1], Scalar) and items[-1].text == MORE
    if more:
        items.pop()
        if not items:
            raise fault(node.place, "'...' means more of the item before it; write that item first")
    shapes: list[Shape] = []
    least = 0
    for item in items:
        inner, optional = optional_item(item, depth)
        if not optional and len(shapes) > least:
            raise fault(item.place, "only the last items may be optional; give this one a '?' too")
        shapes.append(inner)
        least += not optional
    fixed = tuple(shape.test for shape in shapes)
    most = None if more else len(fixed)
    rest = fixed[-1] if more else is_anything

    def test(value: object) -> bool:
        if not isinstance(value, list):
            return False
        length = len(value)
        if length < least or (most is not None and length > most):
            return False
        for check, item in zip(fixed, value, strict=False):
            if not check(item):
                return False
        return length <= len(fixed) or all(map(rest, islice(value, len(fixed), None)))

    return Shape(test, arity=(least, most), items=tuple(shapes[:least]))


def optional_item(item: Node, depth: int = 0) -> tuple[Shape, bool]:
    """Compile an item of a list; tell whether it may be missing."""
    match item:
        case Scalar(text, plain, place) if text.endswith("?"):
            return compile_shape(Scalar(text[:-1], plain, place), depth + 1), True
        case Table(((Scalar(key), inner),)) if key == OPTIONAL:
            return compile_shape(inner, depth + 1), True
        case _:
            return compile_shape(item, depth + 1), False


# --- mappings: {member: shape, member?: shape} --------------------------------------------


def _object(node: Table, depth: int) -> Shape:
    required: list[tuple[str, Shape]] = []
    optional: list[tuple[str, Shape]] = []
    for key, value in node.entries:
        if key.text.startswith("$"):
            raise fault(key.place, f"{key.text!r} must stand alone in its mapping")
        name = key.text.removesuffix(MAYBE)
        if MAYBE in name:
            raise fault(key.place, f"{key.text!r}: a '?' stands at the end of a member's name")
        if name != key.text and node.get(name) is not None:
            raise fault(key.place, f"{name!r} is there with and without a '?': keep one")
        (optional if name != key.text else required).append((name, compile_shape(value, depth + 1)))
    must = tuple((name, shape.test) for name, shape in required)
    may = tuple((name, shape.test) for name, shape in optional)

    def test(value: object) -> bool:
        if not isinstance(value, dict):
            return False
        for name, check in must:
            if name not in value or not check(value[name]):
                return False
        return all(name not in value or check(value[name]) for name, check in may)

    return Shape(test, members=tuple(required))


# --- operators: {$const: OK} --------------------------------------------------------------


def _operator(node: Table, depth: int) -> Shape:
    key, value = node.entries[0]
    if len(node.entries) > 1:
        raise fault(node.entries[1][0].place, f"{key.text!r} must stand alone in its mapping")
    if key.text == OPTIONAL:
        raise fault(key.place, f"{OPTIONAL!r} has a meaning only on a list item")
    operator = _OPERATORS.get(key.text)
    if operator is None:
        hint = suggest(key.text, (*_OPERATORS, OPTIONAL))
        raise fault(key.place, f"{key.text!r} is not an operator; {hint}")
    return operator.compile(key, value, depth + 1)


def _list_of(key: Scalar, value: Node) -> tuple[Node, ...]:
    if not isinstance(value, Sequence) or not value.items:
        raise fault(value.place, f"{key.text!r} takes a list with at least one item")
    return value.items


def _constant(node: Node) -> Constant:
    if not isinstance(node, Scalar):
        raise fault(node.place, "a fixed value must be a string, a number, true, false or null")
    return node.constant()


def _in(constants: tuple[Constant, ...]) -> Shape:
    allowed: dict[TypedConstant, None] = dict.fromkeys((type(one), one) for one in constants)

    def test(value: object) -> bool:
        return isinstance(value, str | int | float | None) and (type(value), value) in allowed

    return Shape(test, constants=tuple(allowed))


def _parts(key: Scalar, value: Node) -> tuple[str, ...]:
    nodes = (value,) if isinstance(value, Scalar) else _list_of(key, value)
    texts = tuple(node.text for node in nodes if isinstance(node, Scalar) and node.text)
    if len(texts) != len(nodes):
        raise fault(value.place, f"{key.text!r} takes a string, or a list of strings")
    return texts


def _starts_with(prefixes: tuple[str, ...]) -> Test:
    return lambda value: isinstance(value, str) and value.startswith(prefixes)


def _ends_with(ends: tuple[str, ...]) -> Test:
    return lambda value: isinstance(value, str) and value.endswith(ends)


def _contains(parts: tuple[str, ...]) -> Test:
    return lambda value: isinstance(value, str) and all(part in value for part in parts)


def _not(test: Test) -> Test:
    return lambda value: not test(value)


def _some(item: Test) -> Test:
    def test(value: object) -> bool:
        if isinstance(value, dict):
            value = list(value.values())
        return isinstance(value, list) and any(item(inner) for inner in value)

    return test


def _one_of(shapes: tuple[Shape, ...]) -> Shape:
    tests = tuple(shape.test for shape in shapes)
    arities = [shape.arity for shape in shapes if shape.arity]
    arity: tuple[int, int | None] | None = None
    if len(arities) == len(shapes):
        highs = [high for _, high in arities if high is not None]
        arity = (
            min(low for low, _ in arities),
            max(highs) if len(highs) == len(arities) else None,
        )
    return Shape(lambda value: any(test(value) for test in tests), arity=arity)


def _all_of(shapes: tuple[Shape, ...]) -> Shape:
    tests = tuple(shape.test for shape in shapes)
    return Shape(
        lambda value: all(test(value) for test in tests),
        members=tuple(member for shape in shapes for member in shape.members),
        arity=next((shape.arity for shape in shapes if shape.arity), None),
        items=next((shape.items for shape in shapes if shape.items), ()),
        constants=next((shape.constants for shape in shapes if shape.constants), ()),
        prefixes=next((shape.prefixes for shape in shapes if shape.prefixes), ()),
    )


# --- what the operators are ---------------------------------------------------------------


def _const(_key: Scalar, value: Node, _depth: int) -> Shape:
    return _in((_constant(value),))


def _one_constant(key: Scalar, value: Node, _depth: int) -> Shape:
    return _in(tuple(_constant(item) for item in _list_of(key, value)))


def _beginning(key: Scalar, value: Node, _depth: int) -> Shape:
    prefixes = _parts(key, value)
    return Shape(_starts_with(prefixes), prefixes=prefixes)


def _end(key: Scalar, value: Node, _depth: int) -> Shape:
    return Shape(_ends_with(_parts(key, value)))


def _middle(key: Scalar, value: Node, _depth: int) -> Shape:
    return Shape(_contains(_parts(key, value)))


def _any_shape(key: Scalar, value: Node, depth: int) -> Shape:
    return _one_of(tuple(compile_shape(item, depth) for item in _list_of(key, value)))


def _all_shapes(key: Scalar, value: Node, depth: int) -> Shape:
    return _all_of(tuple(compile_shape(item, depth) for item in _list_of(key, value)))


def _some_item(_key: Scalar, value: Node, depth: int) -> Shape:
    return Shape(_some(compile_shape(value, depth).test))


def _other_shape(_key: Scalar, value: Node, depth: int) -> Shape:
    return Shape(_not(compile_shape(value, depth).test))


class Takes(StrEnum):
    """What an operator is written with."""

    CONSTANT = "a constant"
    CONSTANTS = "a list of constants"
    TEXTS = "a text, or a list of texts"
    SHAPE = "a shape"
    SHAPES = "a list of shapes"


@dataclass(frozen=True, slots=True)
class Operator:
    """A mapping with a single key that begins with ``$``; ``says`` what a value is then."""

    takes: Takes
    says: str
    compile: Callable[[Scalar, Node, int], Shape]


_OPERATORS = {
    "$const": Operator(
        Takes.CONSTANT, "exactly this string, number, `true`, `false` or `null`", _const
    ),
    "$in": Operator(Takes.CONSTANTS, "one of these", _one_constant),
    "$starts_with": Operator(
        Takes.TEXTS, "a string that begins so, or with one of several", _beginning
    ),
    "$ends_with": Operator(Takes.TEXTS, "a string that ends so, or with one of several", _end),
    "$contains": Operator(Takes.TEXTS, "a string with this in it, or with all of several", _middle),
    "$one_of": Operator(Takes.SHAPES, "any of these shapes", _any_shape),
    "$all_of": Operator(Takes.SHAPES, "all of these shapes at once", _all_shapes),
    "$some": Operator(
        Takes.SHAPE,
        "a list with an item of this shape, or an object with a member that has it",
        _some_item,
    ),
    "$not": Operator(
        Takes.SHAPE,
        "anything but this shape: `name?: {$not: any}` is an object without `name`",
        _other_shape,
    ),
}


def operators() -> Iterator[tuple[str, Operator]]:
    """Yield every operator under its key."""
    yield from _OPERATORS.items()
