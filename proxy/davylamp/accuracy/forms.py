r"""A JSON message written in every way that a receiver would still read as the same message.

Each form is a pure function of a message; what it shuffles, it shuffles by the message's own bytes.
``RENAMED`` alone changes the meaning: a pool of one's own may call its methods what it likes, so
only what a signature says about shape is left.

The standard is the most lenient receiver's: rapidjson finds the first of two equal names,
JavaScript and Python keep the last; white space, escapes and extra members are RFC 8259's.
"""

import json
import random
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from davylamp.accuracy.examples import Message

PADDING = 90 * 1024
"""Bytes of the huge member; the largest line that a pool is known to take is 100 KiB."""

_DECOY = b'{"id":0,"jsonrpc":"2.0","method":"ping"}\n'


# What a message is sent in, whatever it says; Go's encoding/json finds these in any letter case.
_ENVELOPE = frozenset({"id", "method", "params", "result", "error", "worker", "jsonrpc"})


class Form(StrEnum):
    """How the message is written."""

    PLAIN = "as it is"
    CRLF = "CRLF"
    NO_NEWLINE = "no newline at the end"
    BOM = "byte-order mark"
    BLANKS = "blanks and empty lines in front"
    SPACES = "white space between tokens"
    PRETTY = "over several lines"
    ORDER = "key order shuffled"
    ESCAPES = "\\u escapes"
    DECOY_FIRST = "duplicate keys, decoy first"
    DECOY_LAST = "duplicate keys, decoy last"
    CAPITALS = "names in capitals"
    TOGETHER = "order, spaces, escapes and decoys at once"
    PADDED = "90 KiB member in front"
    BATCH = "batch array"
    TWO_LINES = "two lines in one segment"
    RENAMED = "method renamed"


class _Verbatim(str):
    """A number as it was written."""

    __slots__ = ()


type _Members = tuple[tuple[str, object], ...]  # what an object is read as; a list is a list


def rewrite(form: Form, message: Message) -> Message:
    """Return the message in another form; a message that is no JSON comes back as it was."""
    if not message.is_json:
        return message
    if around := _AROUND.get(form):
        return around(message)
    if styled := _STYLES.get(form):
        seeded = random.Random(zlib.crc32(message.text))  # noqa: S311 - chance that repeats
        return message.saying(_write(_read(message.text), styled(seeded)).encode())
    return message


# Forms that leave the message's own text as it is.
_AROUND: Mapping[Form, Callable[[Message], Message]] = {
    Form.CRLF: lambda message: replace(message, line_end=b"\r\n"),
    Form.NO_NEWLINE: lambda message: replace(message, line_end=b""),
    Form.BOM: lambda message: message.saying(b"\xef\xbb\xbf" + message.text),
    Form.BLANKS: lambda message: message.saying(b" \t\r\n\n " + message.text),
    Form.BATCH: lambda message: message.saying(b'[{"id":0,"method":"ping"},%b]' % message.text),
    Form.TWO_LINES: lambda message: message.saying(_DECOY + message.text),
}


@dataclass(frozen=True, slots=True)
class _Style:
    """How a value is written: around its tokens, its strings, and the members of its objects."""

    members: Callable[[_Members, int], _Members] = lambda members, _: members
    string: Callable[[str], str] = json.dumps
    space: Callable[[int], str] = lambda _: ""


# Forms that write it anew.
_STYLES: Mapping[Form, Callable[[random.Random], _Style]] = {
    Form.SPACES: lambda seeded: _Style(
        space=lambda _: "".join(seeded.choices(" \t\r", k=seeded.randrange(4)))
    ),
    Form.PRETTY: lambda _: _Style(space=lambda depth: "\n" + "  " * depth),
    Form.ORDER: lambda seeded: _Style(
        members=lambda members, _: tuple(seeded.sample(members, len(members)))
    ),
    Form.ESCAPES: lambda _: _Style(string=_escaped),
    Form.DECOY_FIRST: lambda _: _Style(members=lambda members, _: _decoys(members) + members),
    Form.DECOY_LAST: lambda _: _Style(members=lambda members, _: members + _decoys(members)),
    Form.CAPITALS: lambda _: _Style(members=_capitals),
    Form.TOGETHER: lambda seeded: _Style(
        members=lambda members, _: _decoys(members) + tuple(seeded.sample(members, len(members))),
        string=_escaped,
        space=lambda _: seeded.choice(("", " ", "\t")),
    ),
    Form.PADDED: lambda _: _Style(members=_padded),
    Form.RENAMED: lambda _: _Style(members=_renamed),
}


def _decoys(members: _Members) -> _Members:
    return tuple((name, "idle" if type(value) is str else None) for name, value in members)


def _padded(members: _Members, depth: int) -> _Members:
    return members if depth else (("comment", "x" * PADDING), *members)


def _renamed(members: _Members, depth: int) -> _Members:
    if depth:
        return members
    return tuple((name, "q7" if name == "method" else value) for name, value in members)


def _capitals(members: _Members, depth: int) -> _Members:
    if depth:
        return members
    return tuple((name.upper() if name in _ENVELOPE else name, value) for name, value in members)


def _escaped(text: str) -> str:
    units = text.encode("utf-16-be", "surrogatepass")
    pairs = (units[at : at + 2].hex() for at in range(0, len(units), 2))
    return '"' + "".join(f"\\u{pair}" for pair in pairs) + '"'


def _read(text: bytes) -> object:
    return json.loads(text, object_pairs_hook=tuple, parse_int=_Verbatim, parse_float=_Verbatim)


def _write(value: object, style: _Style, depth: int = 0) -> str:
    gap, end = style.space(depth + 1), style.space(depth)
    match value:
        case _Verbatim():
            return value
        case str():
            return style.string(value)
        case tuple():
            items = [
                f"{gap}{style.string(name)}{gap}:{_write(item, style, depth + 1)}"
                for name, item in style.members(value, depth)
            ]
            return "{" + ",".join(items) + end + "}"
        case list():
            return (
                "[" + ",".join(gap + _write(item, style, depth + 1) for item in value) + end + "]"
            )
        case _:
            return json.dumps(value)
