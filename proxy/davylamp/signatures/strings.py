"""Shapes of what can be nothing but a string: a line's fields, and the values of header fields.

Such a shape compiles as any other does; where it asks for a number it would never be met, and
nothing would say so.
"""

from davylamp.signatures.shape import MORE
from davylamp.signatures.source import Node, Scalar, Sequence, Table, canonical, fault

_NO_STRINGS = frozenset({"number", "integer", "bool", "null", "object", "array"})
_EITHER = ("$one_of", "$all_of")


def check_string(shape: Node, what: str) -> None:
    """Raise PackError where a shape is of no string; ``what`` is what it is the shape of."""
    match shape:
        case Scalar(text):
            words = [word.strip().partition(":")[0].removesuffix("?") for word in text.split("|")]
            if all(word in _NO_STRINGS for word in words):
                raise fault(
                    shape.place,
                    f"{what} is a string, and never {text!r}; write digits for a number, any for"
                    " anything",
                )
        case Table(((Scalar("$const"), constant),)):
            _check_constant(constant, what)
        case Table(((Scalar("$in"), Sequence(constants)),)):
            for constant in constants:
                _check_constant(constant, what)
        case Table(((Scalar(key), Sequence(shapes)),)) if key in _EITHER:
            for one in shapes:
                check_string(one, what)
        case Table(((Scalar("$optional"), inner),)):
            check_string(inner, what)
        case Table(((Scalar(key), _),)) if key.startswith("$") and key != "$some":
            pass
        case _:
            raise fault(shape.place, f"{what} is a string, and has no parts; write its shape alone")


def check_strings(shape: Node, what: str) -> None:
    """Raise PackError where a shape is of no list of strings; ``what`` is what each of them is."""
    match shape:
        case Sequence(items):
            for item in items:
                if not (isinstance(item, Scalar) and item.text == MORE):
                    check_string(item, what)
        case Table(((Scalar("$some"), inner),)):
            check_string(inner, what)
        case Table(((Scalar(key), Sequence(shapes)),)) if key in _EITHER:
            for one in shapes:
                check_strings(one, what)
        case Scalar(text) if any(
            word.strip().partition(":")[0] in ("any", "array") for word in text.split("|")
        ):
            pass
        case Table(((Scalar("$not"), _),)):
            pass
        case _:
            raise fault(shape.place, "the shape of a list was expected here, as [any, digits]")


def _check_constant(constant: Node, what: str) -> None:
    if isinstance(constant, Scalar) and not isinstance(constant.constant(), str):
        raise fault(
            constant.place,
            f'{what} is a string, and never {canonical(constant)}; quote it: "{constant.text}"',
        )
