"""What one source of a configuration says, and where each value in force was said."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

type KeyPath = tuple[str, ...]

DEFAULT = "default"

_LEADING_KEY = re.compile(r"[a-z_]+(?:\.[a-z_]+)*")


@dataclass(frozen=True, slots=True)
class Layer:
    """What one source says; ``places`` has, for each key and section, where it says it."""

    name: str
    values: Mapping[str, object]
    places: Mapping[KeyPath, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Origins:
    """Where the values that are in force were said."""

    names: tuple[str, ...] = ()
    places: Mapping[KeyPath, str] = field(default_factory=dict)

    def of(self, key: str) -> str:
        """Return where ``a.b``, or what stands inside it, was said last; else ``default``."""
        path = tuple(key.split("."))
        if path in self.places:
            return self.places[path]
        inside = [place for one, place in self.places.items() if one[: len(path)] == path]
        return inside[-1] if inside else DEFAULT

    def near(self, path: Sequence[str]) -> str:
        """Return the place of a key, or of the innermost section around it that was said."""
        for length in range(len(path), 0, -1):
            if (place := self.places.get(tuple(path[:length]))) is not None:
                return place
        return ", ".join(self.names)

    def explain(self, message: str) -> str:
        """Put the place before a message that begins with the key it is about."""
        leading = _LEADING_KEY.match(message)
        path = tuple(leading[0].split(".")) if leading else ()
        while path and path not in self.places:
            path = path[:-1]
        return f"{self.places[path]}: {message}" if path else message
