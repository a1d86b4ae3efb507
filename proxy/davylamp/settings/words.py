"""The environment and the command line as layers.

``DAVYLAMP_QUEUES__WORKERS=4`` and ``--set queues.workers=4`` say the same. A variable without
``__`` counts where its name is a key's; others are left alone, for more than one program
begins its variables like this.
"""

from collections.abc import Iterable, Mapping

import msgspec

from davylamp.errors import ConfigError
from davylamp.settings.keys import key_at, sections_of, value_of
from davylamp.settings.layer import KeyPath, Layer

PREFIX = "DAVYLAMP_"
LEVEL = "__"


def from_environment(environment: Mapping[str, str], root: type[msgspec.Struct]) -> Layer:
    """Return what variables say; raise ConfigError for one that names no key."""
    values: dict[str, object] = {}
    places: dict[KeyPath, str] = {}
    for name in sorted(environment):
        path = tuple(name.removeprefix(PREFIX).lower().split(LEVEL))
        if not name.startswith(PREFIX) or (len(path) == 1 and key_at(root, path) is None):
            continue
        _put(values, places, path, environment[name], root, f"environment variable {name}")
    return Layer("environment", values, places)


def from_flags(words: Iterable[str], root: type[msgspec.Struct], flag: str = "--set") -> Layer:
    """Return what ``key=value`` words say; raise ConfigError for one that cannot be read."""
    values: dict[str, object] = {}
    places: dict[KeyPath, str] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise ConfigError(f"{flag} {word}: write {flag} KEY=VALUE, as {flag} queues.workers=4")
        _put(values, places, tuple(name.split(".")), text, root, f"{flag} {name}")
    return Layer(flag, values, places)


def named(path: KeyPath, value: object, place: str) -> Layer:
    """Return the layer of an option that has a name of its own."""
    values: dict[str, object] = {path[-1]: value}
    for name in reversed(path[:-1]):
        values = {name: values}
    return Layer(place, values, {path: place})


def _put(  # noqa: PLR0913, PLR0917 - a value, where it goes, and who said it
    values: dict[str, object],
    places: dict[KeyPath, str],
    path: KeyPath,
    text: str,
    root: type[msgspec.Struct],
    place: str,
) -> None:
    found = key_at(root, path)
    key = ".".join(path)
    if found is None:
        why = "is a section; set a key in it" if path in sections_of(root) else "is no key"
        raise ConfigError(f"{place}: {key} {why}; see docs/configuration.md")
    try:
        value = value_of(found[0], text)
    except ValueError as error:
        raise ConfigError(f"{place}: {error}") from error
    into = values
    for name in path[:-1]:
        below = into.setdefault(name, {})
        if not isinstance(below, dict):
            raise ConfigError(f"{place}: said of {name} already, as a whole")
        into = below
    into[path[-1]] = value
    places[path] = place
