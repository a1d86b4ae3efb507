"""Layers over each other into one typed tree.

The later layer wins, key by key: mappings are merged, everything else (lists too) is replaced.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from davylamp.errors import ConfigError
from davylamp.settings.keys import key_at, kind_text
from davylamp.settings.layer import KeyPath, Layer, Origins

# How msgspec names the place of a fault: "... - at `$.queues.workers`", "at `key` in `$.a`".
_FAULT_PATH = re.compile(r"`\$((?:\.\w+|\[[^\]]*\])*)`")
_STEP = re.compile(r"\.(\w+)|\[[^\]]*\]")
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")


@dataclass(frozen=True, slots=True)
class Settled[T]:
    """A configuration, and where its values came from."""

    config: T
    origins: Origins


def settle[T: msgspec.Struct](layers: Sequence[Layer], root: type[T]) -> Settled[T]:
    """Lay the layers over each other; raise ConfigError naming the place of what is wrong."""
    values: dict[str, object] = {}
    places: dict[KeyPath, str] = {}
    for layer in layers:
        _lay(values, layer.values, (), places)
        places.update(layer.places)
    origins = Origins(tuple(layer.name for layer in layers), places)
    try:
        return Settled(msgspec.convert(values, root), origins)
    except msgspec.ValidationError as error:
        raise ConfigError(_said(str(error), origins, root)) from error


def _said(fault: str, origins: Origins, root: type[msgspec.Struct]) -> str:
    path = _path_of(fault)
    known = key_at(root, path)
    wanted = f" ({kind_text(known[0])})" if known is not None and "enum" in fault else ""
    return f"{origins.near(path)}: {fault}{wanted}; see docs/configuration.md"


def _lay(
    under: dict[str, object],
    over: Mapping[str, object],
    at: KeyPath,
    places: dict[KeyPath, str],
) -> None:
    """Merge ``over`` into ``under``, and forget the places of what it replaces."""
    for key, value in over.items():
        path = (*at, key)
        below = under.get(key)
        if isinstance(value, Mapping) and isinstance(below, dict):
            _lay(below, value, path, places)
            continue
        for place in [one for one in places if one[: len(path)] == path]:
            del places[place]
        under[key] = _copied(value)


def _copied(value: object) -> object:
    """Return a mapping of one's own, which a later layer may change."""
    if isinstance(value, Mapping):
        return {key: _copied(one) for key, one in value.items()}
    return value


def _path_of(message: str) -> KeyPath:
    """Read the path that a validation error names, the key that does not exist included."""
    found = _FAULT_PATH.search(message)
    path = tuple(step[1] for step in _STEP.finditer(found[1]) if step[1]) if found else ()
    unknown = _UNKNOWN.search(message)
    return (*path, unknown[1]) if unknown else path
