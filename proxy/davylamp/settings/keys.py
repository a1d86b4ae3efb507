"""The keys of a typed tree: their paths, types and defaults, and how a word is read as a value."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import msgspec
import yaml
from msgspec import inspect

from davylamp.settings.layer import KeyPath


@dataclass(frozen=True, slots=True)
class Key:
    """One key that can be set. ``section`` is the struct that has it."""

    path: KeyPath
    kind: inspect.Type
    default: object
    section: type

    @property
    def name(self) -> str:
        """The key as it is written: ``a.b``."""
        return ".".join(self.path)


@cache
def keys_of(root: type[msgspec.Struct]) -> tuple[Key, ...]:
    """Return every key below ``root``, in the order of its fields."""
    return tuple(_keys(root, ()))


def _keys(root: type, path: KeyPath) -> Iterator[Key]:
    found = inspect.type_info(root)
    assert isinstance(found, inspect.StructType)
    for one in found.fields:
        below = (*path, one.encode_name)
        if isinstance(one.type, inspect.StructType):
            yield from _keys(one.type.cls, below)
        else:
            default = one.default if one.default is not msgspec.NODEFAULT else one.default_factory()
            yield Key(below, one.type, default, root)


def sections_of(root: type[msgspec.Struct]) -> frozenset[KeyPath]:
    """Return the paths that lead to sections and not to keys."""
    return frozenset(key.path[:n] for key in keys_of(root) for n in range(1, len(key.path)))


def key_at(root: type[msgspec.Struct], path: KeyPath) -> tuple[inspect.Type, KeyPath] | None:
    """Return the type at a path and the key it belongs to, or None where there is none.

    A path may lead into a mapping: ``policy.actions.mining``.
    """
    for key in keys_of(root):
        if key.path == path:
            return key.kind, path
        inside = key.kind
        if isinstance(inside, inspect.DictType) and path[:-1] == key.path:
            return inside.value_type, key.path
    return None


def value_of(kind: inspect.Type, text: str) -> object:
    """Read a word as a value of a type: text as it stands, a list by commas, all else as YAML.

    Raises ValueError where that is not possible. Whether it fits the type is checked later.
    """
    match kind:
        case inspect.StrType():
            return text
        case inspect.LiteralType(values=values) if all(isinstance(one, str) for one in values):
            return text
        case inspect.VarTupleType(item_type=item) if _by_commas(item, text):
            return [value_of(item, one.strip()) for one in text.split(",")] if text.strip() else []
        case inspect.UnionType(types=types) if text not in ("null", "~"):
            parted = [one for one in types if not isinstance(one, inspect.NoneType)]
            if len(parted) == 1:
                return value_of(parted[0], text)
        case _:
            pass
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{text!r} is not YAML") from error


def _by_commas(item: inspect.Type, text: str) -> bool:
    return not isinstance(item, inspect.StructType) and not text.lstrip().startswith("[")


def kind_text(kind: inspect.Type) -> str:  # noqa: PLR0911 - a line for each type
    """Say in a few words what a value must be."""
    match kind:
        case inspect.BoolType():
            return "`true` or `false`"
        case inspect.IntType() | inspect.FloatType():
            return _number_text(kind)
        case inspect.StrType():
            return "text"
        case inspect.LiteralType(values=values):
            return ", ".join(f"`{one}`" for one in values)
        case inspect.VarTupleType(item_type=item):
            return f"list of {kind_text(item)}"
        case inspect.DictType(value_type=value):
            return f"mapping to {kind_text(value)}"
        case inspect.UnionType(types=types):
            said = [kind_text(one) for one in types if not isinstance(one, inspect.NoneType)]
            return " or ".join(said)
        case inspect.StructType(cls=cls):
            return "rules" if cls.__name__.endswith("Rule") else cls.__name__
        case _:
            return type(kind).__name__.removesuffix("Type").lower()


def _number_text(kind: inspect.IntType | inspect.FloatType) -> str:
    word = "whole number" if isinstance(kind, inspect.IntType) else "number"
    if kind.ge is not None and kind.le is not None:
        return f"{word}, {kind.ge:g} to {kind.le:.0f}"
    if kind.ge is not None:
        return f"{word}, at least {kind.ge:g}"
    if kind.gt is not None:
        return f"{word} above {kind.gt:g}"
    return word
