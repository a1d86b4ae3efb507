"""A candidate message's bytes to JSON objects, as the most lenient of receivers reads them.

Strategy. Receivers disagree on repeated member names: JavaScript and Python keep the last,
rapidjson (XMRig) finds the first. When names repeat, both readings are returned and both are judged. Control
characters inside strings and bytes that are not UTF-8 are accepted, as C++ parsers do. A batch
(an array of objects) yields its objects; anything else yields nothing. Never raises.
"""

import json
from dataclasses import dataclass

MAX_BATCH = 64

type JsonObject = dict[str, object]


@dataclass(slots=True)
class _Repeats:
    """Notices repeated names while objects are being built."""

    seen: bool = False

    def last_wins(self, pairs: list[tuple[str, object]]) -> JsonObject:
        result = dict(pairs)
        if len(result) != len(pairs):
            self.seen = True
        return result


def _first_wins(pairs: list[tuple[str, object]]) -> JsonObject:
    return dict(reversed(pairs))


def read_objects(text: bytes) -> list[JsonObject]:
    """Return the JSON objects that a receiver may read in ``text``; empty if it is not JSON."""
    decoded = text.decode("utf-8", "replace")
    repeats = _Repeats()
    try:
        values = [json.loads(decoded, strict=False, object_pairs_hook=repeats.last_wins)]
        if repeats.seen:
            values.append(json.loads(decoded, strict=False, object_pairs_hook=_first_wins))
    except (ValueError, RecursionError):
        return []
    objects: list[JsonObject] = []
    for value in values:
        members = value[:MAX_BATCH] if isinstance(value, list) else [value]
        objects += [member for member in members if isinstance(member, dict)]
    return objects
