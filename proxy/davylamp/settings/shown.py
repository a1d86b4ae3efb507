"""A configuration in force as it may be shown: secrets masked, each value with its origin."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from davylamp.settings.keys import keys_of
from davylamp.settings.layer import Origins

MASK = "***"
_SECRET = re.compile(r"(password|secret|token|passphrase|credential)s?$")
_USERINFO = re.compile(r"(://[^/?#@:]*:)[^/?#]*@")
_SECRET_OPTION = re.compile(
    r"([?&][a-z_-]*(?:password|token|key|secret|sig)[a-z_-]*=)[^&#]*", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Shown:
    """One key, its value as plain data, and where that was said."""

    key: str
    value: object
    origin: str


def shown[T: msgspec.Struct](config: T, origins: Origins) -> list[Shown]:
    """Return every key of a configuration in the order of its fields."""
    found: list[Shown] = []
    for key in keys_of(type(config)):
        value: object = config
        for name in key.path:
            value = getattr(value, name)
        plain = _masked(msgspec.to_builtins(value), key.path[-1])
        found.append(Shown(key.name, plain, origins.of(key.name)))
    return found


def as_tree(values: list[Shown]) -> dict[str, object]:
    """Return the values as a configuration file has them."""
    tree: dict[str, object] = {}
    for one in values:
        *sections, last = one.key.split(".")
        into = tree
        for name in sections:
            below = into.setdefault(name, {})
            assert isinstance(below, dict)
            into = below
        into[last] = one.value
    return tree


def _masked(value: object, name: str) -> object:
    """Mask a value whose key says that it is secret, and the secrets inside of URLs."""
    match value:
        case str() if value and _SECRET.search(name):
            return MASK
        case str() if "://" in value:
            return _url(value)
        case Mapping():
            return {key: _masked(one, str(key)) for key, one in value.items()}
        case list() | tuple():
            return [_masked(one, name) for one in value]
        case _:
            return value


def _url(url: str) -> str:
    url = _USERINFO.sub(rf"\g<1>{MASK}@", url)
    return _SECRET_OPTION.sub(rf"\g<1>{MASK}", url)
