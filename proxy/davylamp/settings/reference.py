"""The reference of a typed tree: tables for people, a JSON Schema for editors and CI.

Key, type and default come from the types. What a key means is what the page has said of it so
far, and so is the word for an empty default (``none``, ``the system's``): people write those.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import msgspec
import yaml

from davylamp.settings.keys import Key, keys_of, kind_text

BEGIN = (
    "<!-- made by `davylamp config reference`; meanings and words for empty defaults are kept -->"
)
END = "<!-- end of the reference -->"

_ROW = re.compile(r"^\| `([a-z0-9_.]+)` \|(.*)\|$", re.MULTILINE)
_HEAD = "| key | type | default | meaning |\n|---|---|---|---|"


def schema_of(root: type[msgspec.Struct], title: str) -> dict[str, object]:
    """Return the JSON Schema (2020-12) of a configuration file."""
    said = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    return {**said, **msgspec.json.schema(root)}


def renewed(page: str, root: type[msgspec.Struct]) -> str:
    """Return a page with its tables made anew; ValueError where it has no place for them."""
    before, begin, rest = page.partition(BEGIN)
    old, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n{_tables(root, _kept(old))}\n\n{END}{after}"


def _kept(old: str) -> dict[str, tuple[str, str]]:
    """Return each key's word for its default, and its meaning."""
    cells = {name: [one.strip() for one in row.split(" | ")] for name, row in _ROW.findall(old)}
    return {name: (row[-2] if len(row) > 1 else "", row[-1]) for name, row in cells.items()}


def _tables(root: type[msgspec.Struct], kept: Mapping[str, tuple[str, str]]) -> str:
    groups = [(top, list(keys)) for top, keys in groupby(keys_of(root), _top)]
    alone = [key for top, keys in groups if top == "" for key in keys]
    parts = ["\n".join((_HEAD, *_rows(alone, kept)))]
    for top, keys in groups:
        if top:
            parts.append("\n".join((f"### {top}\n", _HEAD, *_rows(keys, kept))))
    return "\n\n".join(parts)


def _top(key: Key) -> str:
    return key.path[0] if len(key.path) > 1 else ""


def _rows(keys: Sequence[Key], kept: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    for key in keys:
        word, meaning = kept.get(key.name, ("", ""))
        default = _default_text(key.default) or word or "none"
        yield f"| `{key.name}` | {kind_text(key.kind)} | {default} | {meaning} |"


def _default_text(default: object) -> str:
    match default:
        case bool():
            return str(default).lower()
        case int() | float():
            return f"{default:.15g}"
        case str():
            return f"`{default}`" if default else ""
        case tuple() if all(isinstance(one, int | str) for one in default):
            return ", ".join(map(str, default))
        case None | ():
            return ""
        case _:
            plain = _without_defaults(default)
            line = yaml.safe_dump(plain, default_flow_style=True, width=1000) if plain else ""
            return f"`{line.strip()}`" if line else ""


def _without_defaults(value: object) -> object:
    """Return a struct as what would have to be written for it."""
    if isinstance(value, msgspec.Struct):
        bare = type(value)()
        return {
            name: _without_defaults(getattr(value, name))
            for name in value.__struct_fields__
            if getattr(value, name) != getattr(bare, name)
        }
    if isinstance(value, tuple | list):
        return [_without_defaults(one) for one in value]
    return value
