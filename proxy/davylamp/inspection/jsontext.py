"""A candidate message's bytes to JSON objects, as the most lenient of receivers reads them.

Strategy. What a receiver of ours could read must not fail here, or it would pass unseen:

- Repeated member names: JavaScript and Python keep the last, rapidjson (XMRig) finds the first.
  Both readings are returned, and both are judged.
- Names in other letters: pools written in Go find ``Method`` where they ask for ``method``, since
  its encoding/json compares names by simple case folding (a long s is an s) and keeps the last.
- Nesting: a value deeper than ``MAX_DEPTH`` is read as null, because Python's parser gives up on
  deep ones and JavaScript's does not. No message we know is deeper than six.
- Numbers: an integer of thousands of digits is a float, as in JavaScript.
- Control characters inside strings and bytes that are not UTF-8 are accepted.

A batch (an array of objects) yields its objects; anything else yields nothing. Never raises.
"""

import json
import re
from collections.abc import Iterable
from itertools import islice

MAX_BATCH = 4096  # a message is bounded, so this is not for memory but for time
MAX_DEPTH = 64
_MAX_DIGITS = 4000  # Python refuses more than 4,300 (sys.get_int_max_str_digits)

# Names of a message's own members, and of what is directly below, that such pools ask for.
_NAMES = frozenset(
    {"agent", "algo", "blob", "body", "error", "extra_nonce", "height", "id", "job", "job_id"}
    | {"jsonrpc", "login", "method", "nonce", "params", "pass", "pow", "result", "rigid"}
    | {"status", "target", "type", "wallet_address", "worker"}
)
_BELOW = ("params", "result", "body")

type JsonObject = dict[str, object]
type _Pairs = list[tuple[str, object]]

_NESTING = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[{}\[\]]', re.DOTALL)


class _RepeatedNameError(Exception):
    """An object has two members of one name."""


def _unrepeated(pairs: _Pairs) -> JsonObject:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _RepeatedNameError
    return members


def _first_wins(pairs: _Pairs) -> JsonObject:
    return dict(reversed(pairs))


def _integer(digits: str) -> float:
    return int(digits) if len(digits) < _MAX_DIGITS else float(digits)


_UNREPEATED = json.JSONDecoder(strict=False, object_pairs_hook=_unrepeated, parse_int=_integer)
_LAST = json.JSONDecoder(strict=False, parse_int=_integer)
_FIRST = json.JSONDecoder(strict=False, object_pairs_hook=_first_wins, parse_int=_integer)


def read_objects(text: bytes) -> list[JsonObject]:
    """Return the JSON objects that a receiver may read in ``text``; empty if it is not JSON."""
    return read_value(text) or []


def read_value(text: bytes) -> list[JsonObject] | None:
    """Return the objects of ``text``, or None if it is not exactly one JSON value."""
    decoded = text.decode("utf-8", "replace")
    try:
        try:
            values = _readings(decoded)
        except RecursionError:
            values = _readings(_flattened(decoded))
    except ValueError:
        return None
    objects: list[JsonObject] = []
    for value in values:
        members = value if isinstance(value, list) else [value]
        objects += islice((one for one in members if isinstance(one, dict)), MAX_BATCH)
    for one in tuple(objects):
        objects += _otherwise_named(one)
    return objects


def _otherwise_named(members: JsonObject) -> tuple[JsonObject, ...]:
    """Return what a receiver reads that does not tell names by case; nothing if that is the same.

    Of two names that differ in case only, one keeps the last and another might find the first.
    """
    names = "".join(members)
    for name in _BELOW:
        inner = members.get(name)
        if type(inner) is dict:
            names += "".join(inner)
    if names.isascii() and names == names.lower():
        return ()
    last = _folded(members.items())
    return () if last == members else (last, _folded(reversed(members.items())))


def _folded(members: Iterable[tuple[str, object]]) -> JsonObject:
    """Return the members, and those directly below, under the names that we know them by."""
    folded: JsonObject = {}
    for name, value in members:
        known = name.casefold()
        folded[known if known in _NAMES else name] = value
    for name in _BELOW:
        inner = folded.get(name)
        if type(inner) is dict and not inner.keys() <= _NAMES:
            folded[name] = {
                known if (known := key.casefold()) in _NAMES else key: value
                for key, value in inner.items()
            }
    return folded


def _readings(text: str) -> list[object]:
    """Return each value that a receiver may read; raise ValueError or RecursionError."""
    try:
        return [_UNREPEATED.decode(text)]
    except _RepeatedNameError:
        return [_LAST.decode(text), _FIRST.decode(text)]


def _flattened(text: str) -> str:
    """Return JSON text with null in place of every value nested deeper than ``MAX_DEPTH``."""
    parts: list[str] = []
    depth = copied = 0
    for token in _NESTING.finditer(text):
        match token[0]:
            case "{" | "[":
                depth += 1
                if depth == MAX_DEPTH + 1:
                    parts += (text[copied : token.start()], "null")
            case "}" | "]":
                if depth == MAX_DEPTH + 1:
                    copied = token.end()
                depth -= 1
            case _:
                pass
    return "".join(parts) + text[copied:]
