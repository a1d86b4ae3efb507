"""Reads a mapping by its record: what is unknown, missing or out of bounds is named with its place.

A getter asserts that the record says the same of the key as the caller believes.
"""

import re
from enum import StrEnum

from davylamp.signatures.language import MAX_LITERAL
from davylamp.signatures.source import Node, Place, Scalar, Sequence, Table, fault, suggest
from davylamp.signatures.spec import (
    MAX_TEXT,
    Choice,
    Field,
    Flag,
    Literals,
    Nested,
    Record,
    SomeConditions,
    Text,
    Texts,
    Value,
    Whole,
)

_MAX_TEXTS = 256


class Fields:
    """A mapping's values by key."""

    __slots__ = ("_record", "_values", "place")

    def __init__(self, node: Node, record: Record) -> None:
        if not isinstance(node, Table):
            raise fault(node.place, "a mapping was expected here: lines of 'key: value'")
        self.place: Place = node.place
        self._record = record
        self._values = {key.text: value for key, value in node.entries}
        names = record.names
        for key, _ in node.entries:
            if key.text not in names:
                raise fault(key.place, f"unknown field {key.text!r}; {suggest(key.text, names)}")
        for field in record.fields:
            if field.required and field.name not in self._values:
                raise fault(
                    self.place,
                    f"the field {field.name!r} is missing; docs/signature-reference.md has a list",
                )
        if record.needs and self._values.keys().isdisjoint(record.needs):
            raise fault(self.place, f"write at least one of: {', '.join(record.needs)}")

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def optional(self, name: str) -> Node | None:
        """Return the node under a key, or None."""
        self._record.field(name)
        return self._values.get(name)

    def node(self, name: str) -> Node:
        """Return the node under a key that the record requires."""
        assert self._record.field(name).required, name
        return self._values[name]

    def scalar(self, name: str) -> Scalar:
        """Return a text that the record requires, with its place."""
        return self._text(self._record.field(name), self.node(name))

    def text(self, name: str) -> str:
        """Return a text, empty where it is left out."""
        node = self._values.get(name)
        return self._text(self._record.field(name), node).text if node else ""

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts, empty where it is left out."""
        value = _value(self._record, name, Texts)
        node = self._values.get(name)
        if node is None:
            return ()
        if isinstance(node, Scalar) and value.alone:
            nodes: tuple[Node, ...] = (node,)
        elif isinstance(node, Sequence):
            nodes = node.items
        else:
            raise fault(node.place, f"{name!r} is a list; write it as [one, two]")
        found = tuple(_plain_text(one).text for one in nodes)
        if value.alone and (not found or len(set(found)) != len(found)):
            raise fault(node.place, f"{name!r} is a name, or a list of different names")
        if len(found) > _MAX_TEXTS:
            raise fault(node.place, f"{name!r} has more than {_MAX_TEXTS}; make a list of them")
        for one, text in zip(nodes, found, strict=True):
            if value.pattern and not re.fullmatch(value.pattern, text):
                raise fault(one.place, f"{text!r}: {_hint(self._record.field(name))}")
        return found

    def whole(self, name: str, default: int = 0) -> int:
        """Return a whole number within the record's bounds."""
        value = _value(self._record, name, Whole)
        node = self._values.get(name)
        if node is None:
            return default
        scalar = _plain_text(node)
        number = scalar.constant()
        if (
            not isinstance(number, int)
            or isinstance(number, bool)
            or not value.low <= number <= value.high
        ):
            raise fault(
                scalar.place, f"{name!r} is a whole number from {value.low} to {value.high:,}"
            )
        return number

    def flag(self, name: str) -> bool | None:
        """Return true or false, or None where it is left out."""
        _value(self._record, name, Flag)
        node = self._values.get(name)
        if node is None:
            return None
        value = _plain_text(node).constant()
        if not isinstance(value, bool):
            raise fault(node.place, f"{name!r} is true or false")
        return value

    def word(self, name: str) -> str:
        """Return one of the record's words, empty where it is left out."""
        words = _value(self._record, name, Choice).words
        node = self._values.get(name)
        if node is None:
            return ""
        scalar = _plain_text(node)
        if scalar.text not in words:
            hint = suggest(scalar.text, words)
            raise fault(scalar.place, f"{name!r} cannot be {scalar.text!r}; {hint}")
        return scalar.text

    def choice[E: StrEnum](self, name: str, kind: type[E], default: E | None = None) -> E:
        """Return a member of an enumeration, all of which are the record's words."""
        assert _value(self._record, name, Choice) == Choice.of(kind), name
        word = self.word(name)
        if not word:
            assert default is not None, name
            return default
        return kind(word)

    def nested(self, name: str) -> "Fields | None":
        """Return a mapping of its own, or None."""
        record = _value(self._record, name, Nested).record
        node = self._values.get(name)
        return None if node is None else Fields(node, record)

    def literals(self, name: str) -> tuple[bytes, ...]:
        """Return byte strings, none where they are left out."""
        value = _value(self._record, name, Literals)
        node = self._values.get(name)
        if node is None:
            return ()
        nodes = node.items if isinstance(node, Sequence) and value.many else (node,)
        if not nodes:
            raise fault(node.place, f"{name!r} is a text or {{hex: 16 03}}, or a list of them")
        if len(nodes) > _MAX_TEXTS:
            raise fault(
                node.place, f"{name!r} has more than {_MAX_TEXTS}; make several signatures of it"
            )
        return tuple(_literal(one, value.least) for one in nodes)

    def conditions(self, name: str) -> tuple[Node, ...]:
        """Return the nodes of a list of conditions."""
        _value(self._record, name, SomeConditions)
        node = self._values[name]
        if not isinstance(node, Sequence) or not node.items:
            raise fault(node.place, f"{name!r} takes a list with at least one condition")
        return node.items

    def _text(self, field: Field, node: Node) -> Scalar:
        value = field.value
        assert isinstance(value, Text), field.name
        scalar = _plain_text(node, value.longest)
        if value.pattern and not re.fullmatch(value.pattern, scalar.text):
            raise fault(scalar.place, f"{field.name!r} cannot be {scalar.text!r}: {_hint(field)}")
        return scalar


def _value[V: Value](record: Record, name: str, kind: type[V]) -> V:
    value = record.field(name).value
    assert isinstance(value, kind), name
    return value


def _hint(field: Field) -> str:
    return field.says[:1].lower() + field.says[1:].rstrip(".")


def _plain_text(node: Node, longest: int = MAX_TEXT) -> Scalar:
    if not isinstance(node, Scalar) or not node.text or len(node.text) > longest:
        raise fault(node.place, f"a text of 1 to {longest} characters was expected here")
    return node


def _literal(node: Node, least: int) -> bytes:
    match node:
        case Scalar(text):
            data = text.encode()
        case Table(((Scalar("hex"), Scalar(digits)),)):
            try:
                data = bytes.fromhex(digits)
            except ValueError as error:
                raise fault(
                    node.place, "'hex' takes pairs of hexadecimal digits, as {hex: 16 03 01}"
                ) from error
        case _:
            raise fault(node.place, "write a text, or {hex: 16 03 01}")
    if not least <= len(data) <= MAX_LITERAL:
        chance = "; a shorter one is met by chance" if len(data) < least else ""
        raise fault(node.place, f"{len(data)} bytes; write {least} to {MAX_LITERAL}{chance}")
    return data
