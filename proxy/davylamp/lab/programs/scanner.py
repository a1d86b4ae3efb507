"""Counts the complete mining requests in a byte stream, however they were cut or framed.

The strategy: two readers look at the same bytes. One follows braces and strings and sees a JSON
value complete at its closing brace, newline or not; the other takes each line by itself, so that
an unbalanced brace in earlier garbage cannot hide a request that any pool would accept. A request
that both see counts once. The count errs upwards: a gateway is judged by its being zero.
"""

import json
import re
from typing import Any

# Client-to-pool methods of the two dialects; every method of Stratum v1 starts with "mining.".
CRYPTONOTE_METHODS = frozenset({"login", "submit", "keepalived", "getjob"})
MAX_VALUE = 131_072

_MARKS = re.compile(rb'["\\{}\[\]\n]')


class Pairs(tuple[tuple[str, Any], ...]):
    """A JSON object with its members in order and duplicate keys kept."""

    __slots__ = ()


def dialect_methods(raw: bytes) -> list[str]:
    """Return the mining methods asked for by one JSON text: an object, or an array of them.

    Any of several duplicate ``method`` members counts, because parsers disagree on which one wins.
    """
    try:
        value = json.loads(raw.decode("utf-8", "replace"), object_pairs_hook=Pairs)
    except (ValueError, RecursionError):
        return []
    objects = [value] if isinstance(value, Pairs) else value if isinstance(value, list) else []
    found = []
    for one in objects:
        named = [v for k, v in one if k == "method"] if isinstance(one, Pairs) else []
        found += [name for name in named if isinstance(name, str) and is_mining_method(name)][:1]
    return found


def is_mining_method(name: str) -> bool:
    """Whether a JSON-RPC method belongs to Stratum v1 or CryptoNote stratum."""
    return name.startswith("mining.") or name in CRYPTONOTE_METHODS


class RequestScanner:
    """Fed a stream in any pieces; knows how many complete mining requests it held so far.

    ``complete`` counts closed JSON values, ``terminated`` those followed by a newline as well.
    Memory is bounded by twice MAX_VALUE: a longer value or line is forgotten.
    """

    __slots__ = (
        "_awaiting",
        "_counted",
        "_depth",
        "_in_string",
        "_line",
        "_skip",
        "_value",
        "complete",
        "terminated",
    )

    def __init__(self) -> None:
        self.complete = 0
        self.terminated = 0
        self._value = bytearray()
        self._line = bytearray()
        self._depth = 0
        self._in_string = False
        self._skip = False
        self._awaiting = 0
        self._counted = False

    def feed(self, data: bytes) -> list[str]:
        """Take the next bytes; return the methods of the requests they completed."""
        found: list[str] = []
        position = 0
        while position < len(data):
            # A skipped byte is the one after a backslash, which may come in a later piece. A
            # newline is never skipped: it ends a line of garbage whatever stood before it.
            skip = self._skip and data[position] != 0x0A
            mark = None if skip else _MARKS.search(data, position)
            end = position + 1 if skip else mark.end() if mark else len(data)
            self._keep(data[position:end])
            self._skip = False
            if mark:
                found += self._meet(mark[0])
            position = end
        return found

    def _keep(self, piece: bytes) -> None:
        if len(self._line) <= MAX_VALUE:
            self._line += piece
        if self._depth:
            self._value += piece
            if len(self._value) > MAX_VALUE:
                self._forget_value()

    def _forget_value(self) -> None:
        self._value.clear()
        self._depth = 0
        self._in_string = False

    def _meet(self, mark: bytes) -> list[str]:
        if mark == b"\n":
            return self._end_line()
        if not self._depth:
            if mark in b"{[":
                self._value[:] = mark
                self._depth = 1
            return []
        if self._in_string:
            self._in_string = mark != b'"'
            self._skip = mark == b"\\"
        elif mark == b'"':
            self._in_string = True
        elif mark in b"{[":
            self._depth += 1
        elif mark in b"}]":
            self._depth -= 1
            return [] if self._depth else self._end_value()
        return []

    def _end_value(self) -> list[str]:
        methods = dialect_methods(bytes(self._value))
        self._forget_value()
        self.complete += len(methods)
        self._awaiting += len(methods)
        self._counted |= bool(methods)
        return methods

    def _end_line(self) -> list[str]:
        methods: list[str] = []
        if not self._counted and len(self._line) <= MAX_VALUE:
            methods = dialect_methods(bytes(self._line))
            self.complete += len(methods)
            self.terminated += len(methods)
        if methods or self._in_string:
            self._forget_value()  # JSON has no raw newline in a string: that was garbage.
        if not self._depth:
            self.terminated += self._awaiting
            self._awaiting = 0
        self._line.clear()
        self._counted = False
        return methods
