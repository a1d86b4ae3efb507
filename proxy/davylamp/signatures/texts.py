"""Finds the conditions that a line of text, or a stream's first bytes, can meet."""

from collections.abc import Iterable, Iterator

from davylamp.flow import Direction
from davylamp.signatures.language import MAX_LITERAL, MIN_ANCHOR
from davylamp.signatures.model import BytesCondition, LineCondition, Signature
from davylamp.signatures.prefixes import Prefixes


class LineIndex:
    """Line conditions by how a line begins, else by how it ends."""

    __slots__ = ("_ends", "_starts", "ends", "starts")

    def __init__(self, conditions: Iterable[tuple[Signature, LineCondition]]) -> None:
        self._starts: Prefixes[bytes, tuple[Signature, LineCondition]] = Prefixes()
        self._ends: Prefixes[bytes, tuple[Signature, LineCondition]] = Prefixes()
        for signature, condition in conditions:
            for start in _shortest(condition.starts):
                self._starts.add(start, (signature, condition))
            if not condition.starts:
                for end in _shortest(tuple(end[::-1] for end in condition.ends)):
                    self._ends.add(end, (signature, condition))

        self.starts = frozenset(self._starts.gate)
        """What lines begin with that are worth matching, `MIN_ANCHOR` bytes each."""
        self.ends = frozenset(end[::-1] for end in self._ends.gate)
        """What lines end with that are worth matching, `MIN_ANCHOR` bytes each."""

    def __bool__(self) -> bool:
        return bool(self._starts) or bool(self._ends)

    def may_match(self, line: bytes) -> bool:
        """Tell cheaply whether a line, but for its newline, is worth matching."""
        ends = self.ends  # a carriage return before the newline is none of the line's
        return line[:MIN_ANCHOR] in self.starts or (
            bool(ends) and (line[-MIN_ANCHOR:] in ends or line[-MIN_ANCHOR - 1 : -1] in ends)
        )

    def match(self, line: bytes, direction: Direction) -> tuple[Signature, ...]:
        """Return what a line, without its line break, meets; each once."""
        found = self._starts.find(line)
        if self._ends:
            found = found + self._ends.find(line[: -MAX_LITERAL - 1 : -1])
        if not found:
            return ()
        return tuple(
            {
                signature: None
                for signature, condition in found
                if condition.direction in (None, direction) and condition.fits(line)
            }
        )

    def places(self) -> Iterator[tuple[str, list[tuple[Signature, LineCondition]]]]:
        """Yield every place of the index, in words, with the conditions that are filed there."""
        for start, filed in self._starts.items():
            yield f"lines that begin with {shown(start)}", filed
        for end, filed in self._ends.items():
            yield f"lines that end with {shown(end[::-1])}", filed


class StartIndex:
    """Conditions on a direction's first bytes, by the literals that these begin with."""

    __slots__ = ("_starts", "starts")

    def __init__(self, conditions: Iterable[tuple[Signature, BytesCondition]]) -> None:
        self._starts: Prefixes[bytes, tuple[Signature, BytesCondition]] = Prefixes()
        for signature, condition in conditions:
            for start in _shortest(condition.starts):
                self._starts.add(start, (signature, condition))
        self.starts = frozenset(self._starts.gate)
        """What streams begin with that are worth a look, `MIN_ANCHOR` bytes each."""

    def __bool__(self) -> bool:
        return bool(self._starts)

    def may_begin(self, data: bytes) -> bool:
        """Tell cheaply whether a stream that begins so is worth a look, or too little to tell."""
        return data[:MIN_ANCHOR] in self.starts or len(data) < MIN_ANCHOR

    def lengths(self, data: bytes) -> list[int]:
        """Return which lengths literals have that share their first bytes with these."""
        return self._starts.lengths(data)

    def begun(self, literal: bytes, direction: Direction) -> list[tuple[Signature, BytesCondition]]:
        """Return the conditions whose literal is exactly this, for one direction."""
        return [
            (signature, condition)
            for signature, condition in self._starts.filed(literal)
            if condition.direction in (None, direction)
        ]

    def places(self) -> Iterator[tuple[str, list[tuple[Signature, BytesCondition]]]]:
        """Yield every place of the index, in words, with the conditions that are filed there."""
        for start, filed in self._starts.items():
            yield f"streams that begin with {shown(start)}", filed


def _shortest(literals: tuple[bytes, ...]) -> Iterator[bytes]:
    """Yield the literals that begin with no other one, so that of a text one at most is met."""
    for literal in dict.fromkeys(literals):
        if not any(literal != other and literal.startswith(other) for other in literals):
            yield literal


def shown(literal: bytes) -> str:
    """Return bytes as a person reads them: text where it is some, else hexadecimal."""
    if literal.isascii() and literal.decode("ascii").isprintable():
        return repr(literal.decode("ascii"))
    return literal.hex(" ")
