"""What a JSON value must look like, compiled from a small declarative grammar.

Strategy: a shape is compiled once into a closure from value to bool, and keeps what an index needs
to file it (its required members, its arity). A check looks at each part of the matched value at
most once, so it costs no more than the value's size; it recurses only as deep as the shape is
written; there is no backtracking. docs/signatures.md has the grammar as a table.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from davylamp.signatures.source import (
    Constant,
    Node,
    Place,
    Scalar,
    Sequence,
    Table,
    fault,
    suggest,
)
from davylamp.signatures.vocabulary import is_algo, is_miner_agent
from davylamp.signatures.wallets import find_wallet, names_worker

MAX_SHAPE_DEPTH = 8

type Test = Callable[[object], bool]

_HEX = "0123456789abcdefABCDEF"
_MORE = "..."


@dataclass(frozen=True, slots=True)
class Shape:
    """A compiled shape.

    ``members`` are the members an object must have, with their shapes; ``arity`` the least and
    greatest length of a positional array (None: no limit). Both are empty for other shapes.
    """

    test: Test
    members: "tuple[tuple[str, Shape], ...]" = ()
    arity: tuple[int, int | None] | None = None


@dataclass(frozen=True, slots=True)
class _Size:
    """Length limits of a sized word; ``high`` None is no limit."""

    low: int
    high: int | None

    def holds(self, length: int) -> bool:
        return self.low <= length and (self.high is None or length <= self.high)


_ANY_SIZE = _Size(0, None)


def compile_shape(node: Node, depth: int = 0) -> Shape:
    """Compile a shape; raise PackError that names the place and says what to write instead."""
    if depth > MAX_SHAPE_DEPTH:
        raise fault(node.place, f"a shape may nest {MAX_SHAPE_DEPTH} deep; say less")
    match node:
        case Scalar():
            return _words(node)
        case Sequence():
            return _array(node, depth)
        case Table():
            if node.entries and node.entries[0][0].text.startswith("$"):
                return _operator(node, depth)
            return _object(node, depth)


# --- words: "string", "hex:64", "string|null" ---------------------------------------------


def _words(node: Scalar) -> Shape:
    tests = tuple(_word(word.strip(), node.place) for word in node.text.split("|"))
    if len(tests) == 1:
        return Shape(tests[0])
    return Shape(lambda value: any(test(value) for test in tests))


def _word(word: str, place: Place) -> Test:
    if word.endswith("?"):
        raise fault(place, f"{word!r}: a '?' has a meaning only on a list item or a member's name")
    name, colon, size = word.partition(":")
    if name in _SIZED:
        return _SIZED[name](_size(size, place) if colon else _ANY_SIZE)
    if name not in _PLAIN:
        known = [*_PLAIN, *_SIZED]
        hint = suggest(name, known)
        raise fault(place, f"{name!r} is not a shape; {hint} (a fixed value is {{$const: ...}})")
    if colon:
        raise fault(place, f"{name!r} takes no size; write {name!r} alone")
    return _PLAIN[name]


def _size(text: str, place: Place) -> _Size:
    low, dash, high = text.partition("-")
    if not (low.isdecimal() and (high.isdecimal() or not high)) or len(text) > 12:
        raise fault(place, f"{text!r} is not a size; write 8 (exactly), 8-16 or 8- (at least)")
    if not dash:
        return _Size(int(low), int(low))
    size = _Size(int(low), int(high) if high else None)
    if size.high is not None and size.high < size.low:
        raise fault(place, f"{text!r} is empty; write the smaller number first")
    return size


def _string(size: _Size) -> Test:
    return lambda value: isinstance(value, str) and size.holds(len(value))


def _hex(size: _Size) -> Test:
    # str.strip is one pass over the string: what is left is empty when all of it is hexadecimal.
    return lambda value: isinstance(value, str) and size.holds(len(value)) and not value.strip(_HEX)


def _prefixed_hex(size: _Size) -> Test:
    return lambda value: (
        isinstance(value, str)
        and size.holds(len(value) - 2)
        and value.startswith(("0x", "0X"))
        and not value[2:].strip(_HEX)
    )


def _wallet(size: _Size) -> Test:
    def test(value: object) -> bool:
        wallet = find_wallet(value) if isinstance(value, str) else None
        return wallet is not None and size.holds(len(wallet.address))

    return test


def _digits(size: _Size) -> Test:
    return lambda value: isinstance(value, str) and size.holds(len(value)) and _is_decimal(value)


def _is_decimal(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_PLAIN: dict[str, Test] = {
    "any": lambda _value: True,
    "number": _is_number,
    "integer": _is_integer,
    "bool": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "object": lambda value: isinstance(value, dict),
    "agent": lambda value: isinstance(value, str) and is_miner_agent(value),
    "algo": lambda value: isinstance(value, str) and is_algo(value),
    "worker": lambda value: isinstance(value, str) and names_worker(value),
}

_SIZED: dict[str, Callable[[_Size], Test]] = {
    "string": _string,
    "hex": _hex,
    "0xhex": _prefixed_hex,
    "digits": _digits,
    "array": lambda size: lambda value: isinstance(value, list) and size.holds(len(value)),
    "wallet": _wallet,
}


# --- lists: [a, b, c?, ...] ---------------------------------------------------------------


def _array(node: Sequence, depth: int) -> Shape:
    items = list(node.items)
    more = bool(items) and isinstance(items[-1], Scalar) and items[-1].text == _MORE
    if more:
        items.pop()
        if not items:
            raise fault(node.place, "'...' means more of the item before it; write that item first")
    tests: list[Test] = []
    least = 0
    for item in items:
        inner, optional = _optional_item(item, depth)
        if not optional and len(tests) > least:
            raise fault(item.place, "only the last items may be optional; give this one a '?' too")
        tests.append(inner.test)
        least += not optional
    fixed = tuple(tests)
    most = None if more else len(fixed)
    rest = fixed[-1] if more else _PLAIN["any"]

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

    return Shape(test, arity=(least, most))


def _optional_item(item: Node, depth: int) -> tuple[Shape, bool]:
    match item:
        case Scalar(text, plain, place) if text.endswith("?"):
            return compile_shape(Scalar(text[:-1], plain, place), depth + 1), True
        case Table(((Scalar("$optional"), inner),)):
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
        name, mark, _ = key.text.partition("?")
        (optional if mark else required).append((name, compile_shape(value, depth + 1)))
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
    match key.text:
        case "$const":
            return Shape(_in((_constant(value),)))
        case "$in":
            return Shape(_in(tuple(_constant(item) for item in _list_of(key, value))))
        case "$starts_with":
            return Shape(_starts_with(_prefixes(key, value)))
        case "$one_of":
            return _one_of(tuple(compile_shape(item, depth + 1) for item in _list_of(key, value)))
        case "$all_of":
            return _all_of(tuple(compile_shape(item, depth + 1) for item in _list_of(key, value)))
        case "$some":
            return Shape(_some(compile_shape(value, depth + 1).test))
        case "$optional":
            raise fault(key.place, "'$optional' has a meaning only on a list item")
        case _:
            known = ("$const", "$in", "$starts_with", "$one_of", "$all_of", "$some", "$optional")
            raise fault(key.place, f"{key.text!r} is not an operator; {suggest(key.text, known)}")


def _list_of(key: Scalar, value: Node) -> tuple[Node, ...]:
    if not isinstance(value, Sequence) or not value.items:
        raise fault(value.place, f"{key.text!r} takes a list with at least one item")
    return value.items


def _constant(node: Node) -> Constant:
    if not isinstance(node, Scalar):
        raise fault(node.place, "a fixed value must be a string, a number, true, false or null")
    return node.constant()


def _in(constants: tuple[Constant, ...]) -> Test:
    # Keyed by type too: to Python 1 == True == 1.0, to JSON they are three values.
    allowed = frozenset((type(constant), constant) for constant in constants)

    def test(value: object) -> bool:
        return isinstance(value, str | int | float | None) and (type(value), value) in allowed

    return test


def _prefixes(key: Scalar, value: Node) -> tuple[str, ...]:
    nodes = (value,) if isinstance(value, Scalar) else _list_of(key, value)
    texts = tuple(node.text for node in nodes if isinstance(node, Scalar) and node.text)
    if len(texts) != len(nodes):
        raise fault(value.place, "'$starts_with' takes a string, or a list of strings")
    return texts


def _starts_with(prefixes: tuple[str, ...]) -> Test:
    return lambda value: isinstance(value, str) and value.startswith(prefixes)


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
    )
