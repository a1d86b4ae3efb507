"""A YAML file as positioned nodes: every scalar, list and mapping knows its line and column.

Strategy: PyYAML's event stream is folded into three node types, and what a pack has no use for is
refused on the way: tags, anchors and aliases (the "billion laughs"), duplicate keys, several
documents, great depth, great size. Nothing here builds Python objects from YAML tags.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

import yaml

from davylamp.errors import PackError

MAX_BYTES = 256 * 1024
MAX_DEPTH = 24
MAX_NODES = 20_000

type Constant = str | int | float | bool | None
type Node = Scalar | Sequence | Table

# The C parser is ten times faster and gives the same events; PyYAML may be built without it.
_LOADER: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is written; ``line`` and ``column`` count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value; ``plain`` says that it was written without quotes."""

    text: str
    plain: bool
    place: Place

    def constant(self) -> Constant:
        """Return the value as JSON would have it: only true, false, null and numbers are special.

        Quoted scalars are strings, and so are YAML 1.1's ``yes``, ``no``, ``on`` and ``off``.
        """
        if not self.plain:
            return self.text
        if self.text in _WORDS:
            return _WORDS[self.text]
        if (number := _NUMBER.fullmatch(self.text)) is None:
            return self.text
        return float(self.text) if number[1] else int(self.text)


_BRACKET = "; close the bracket, and quote a text with a bracket, a comma or ': ' in it"
_HINTS = {
    "mapping values are not allowed in this context": (
        "; check the indentation, and quote a text with ': ' in it"
    ),
    "found character that cannot start any token": (
        "; indent with spaces, and quote a text that begins with %, @, ` or a tab"
    ),
    "found a tab character that violates indentation": "; indent with spaces",
    "did not find expected key": "; check the indentation, and close every quote",
    "did not find expected alphabetic or numeric character": (
        "; quote a text that begins with * or &, as '*.example.org'"
    ),
    "did not find expected ',' or ']'": _BRACKET,
    "did not find expected ',' or '}'": _BRACKET,
}
"""What most often is behind the parser's words."""

# As JSON writes them (RFC 8259 section 6), of a length that Python reads: 007, 1_000 and nan are
# words.
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,400})((?:\.[0-9]{1,400})?(?:[eE][+-]?[0-9]{1,4})?)")

# What YAML lets nobody write as it is (1.2.2, section 5.1).
_UNPRINTABLE = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: "tuple[Node, ...]"
    place: Place


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping, in the order written; its keys are distinct."""

    entries: "tuple[tuple[Scalar, Node], ...]"
    place: Place

    def get(self, key: str) -> "Node | None":
        """Return the value under a key, or None."""
        return next((value for name, value in self.entries if name.text == key), None)


def read(data: bytes, file: str) -> Node:
    """Return the one document of a YAML file.

    ``file`` is only a name for messages. Raises PackError naming file, line and column.
    """
    if len(data) > MAX_BYTES:
        raise PackError(
            f"{file}: {len(data):,} bytes; at most {MAX_BYTES:,} are read: split the file"
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        place = _place_at(data[: error.start].decode("utf-8"), file)
        raise fault(place, "not UTF-8: save the file as UTF-8") from error
    if (character := _UNPRINTABLE.search(text)) is not None:
        raise fault(
            _place_at(text[: character.start()], file),
            f"the control character U+{ord(character[0]):04X}: take it out, or write it inside "
            f'"..." as \\u{ord(character[0]):04x}',
        )
    reader = _Reader(file, yaml.parse(text, Loader=_LOADER))
    try:
        return reader.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
        problem = error.problem or error.context
        hint = _HINTS.get(problem or "", "")
        raise PackError(f"{where}: not YAML: {problem}{hint}") from error
    except yaml.YAMLError as error:
        raise PackError(f"{file}: not YAML: {error}") from error


def _place_at(before: str, file: str) -> Place:
    """Return the place behind a text that a file begins with."""
    lines = before.split("\n")
    return Place(file, len(lines), len(lines[-1]) + 1)


def canonical(node: Node, without: tuple[str, ...] = ()) -> str:
    """Return one line that two nodes share if they say the same, however they are laid out.

    Keys are put in order; ``without`` names keys of the outermost mapping that are left out.
    Numbers stay as they are written: they may be the digits of a text, as in ``{hex: 1e000005}``.
    """
    match node:
        case Scalar():
            value = node.constant()
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            return node.text if is_number else json.dumps(value)
        case Sequence(items):
            return f"[{', '.join(map(canonical, items))}]"
        case Table(entries):
            parts = sorted(
                f"{json.dumps(key.text)}: {canonical(value)}"
                for key, value in entries
                if key.text not in without
            )
            return f"{{{', '.join(parts)}}}"


def fault(place: Place, text: str) -> PackError:
    """Return the error that names a place in a pack; the caller raises it."""
    return PackError(f"{place}: {text}")


def suggest(word: str, known: "tuple[str, ...] | list[str]") -> str:
    """Return a "did you mean" for a misspelt word, else the list of what is known."""
    near = get_close_matches(word, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"write one of: {', '.join(sorted(known))}"


class _Reader:
    """Folds one event stream into nodes; depth and number of nodes are bounded."""

    def __init__(self, file: str, events: Iterator[yaml.Event]) -> None:
        self._file = file
        self._events = events
        self._nodes = 0

    def document(self) -> Node:
        """Read the whole stream, which must hold exactly one document."""
        next(self._events)  # StreamStart
        start = next(self._events)
        if not isinstance(start, yaml.DocumentStartEvent):
            place = Place(self._file, 1, 1)
            raise fault(place, "empty; write the fields that docs/signatures.md lists")
        node = self._node(next(self._events), 0)
        next(self._events)  # DocumentEnd
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise fault(self._place(after), "a second document; keep one document a file")
        return node

    def _node(self, event: yaml.Event, depth: int) -> Node:
        place = self._place(event)
        self._nodes += 1
        if depth > MAX_DEPTH or self._nodes > MAX_NODES:
            raise fault(place, f"nested deeper than {MAX_DEPTH} or more than {MAX_NODES:,} values")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise fault(place, "anchors and aliases (& and *) are not read; write the value out")
        if tag := getattr(event, "tag", None):
            raise fault(place, f"the tag {tag!r} is not read; write the plain value")
        match event:
            case yaml.ScalarEvent():
                # libyaml's binding says '' for a scalar without quotes, PyYAML's own parser None.
                return Scalar(event.value, not event.style, place)
            case yaml.SequenceStartEvent():
                return Sequence(tuple(self._items(depth)), place)
            case yaml.MappingStartEvent():
                return Table(tuple(self._entries(depth)), place)
            case _:
                raise fault(place, "a value was expected here")

    def _items(self, depth: int) -> Iterator[Node]:
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            yield self._node(event, depth + 1)

    def _entries(self, depth: int) -> Iterator[tuple[Scalar, Node]]:
        seen: dict[str, Place] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            if not isinstance(key, Scalar):
                raise fault(key.place, "a key must be a plain word")
            if key.text in seen:
                raise fault(
                    key.place, f"{key.text!r} is written twice, first at {seen[key.text]}: keep one"
                )
            seen[key.text] = key.place
            yield key, self._node(next(self._events), depth + 1)

    def _place(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        if mark is None:
            return Place(self._file, 1, 1)
        return Place(self._file, mark.line + 1, mark.column + 1)
