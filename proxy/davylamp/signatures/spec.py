"""What a mapping of the signature language may hold: field specifications.

The loader (`fields`), the JSON Schema (`schema`) and the reference page (`reference`) all read
these, so that none of them can say something else than the others.
"""

from dataclasses import dataclass
from enum import StrEnum

MAX_TEXT = 400


@dataclass(frozen=True, slots=True)
class Text:
    """A text of 1 to ``longest`` characters; ``pattern`` (anchored) is what editors check."""

    longest: int = MAX_TEXT
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class Texts:
    """A list of texts; ``alone`` says that one text may stand for a list of one."""

    alone: bool = False
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from ``low`` to ``high``."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Choice:
    """One word of a few."""

    words: tuple[str, ...]

    @classmethod
    def of(cls, kind: type[StrEnum]) -> "Choice":
        """Return the choice among an enumeration's values."""
        return cls(tuple(member.value for member in kind))


@dataclass(frozen=True, slots=True)
class Flag:
    """``true`` or ``false``."""


@dataclass(frozen=True, slots=True)
class ShapeOf:
    """A shape: see the table of shapes. ``an_object`` says that it must be a mapping of members."""

    an_object: bool = False


@dataclass(frozen=True, slots=True)
class Literals:
    """Bytes, as text or ``{hex: 16 03}``, of ``least`` to 64; ``many`` allows a list of them."""

    least: int = 1
    many: bool = False


@dataclass(frozen=True, slots=True)
class Nested:
    """A mapping of its own."""

    record: "Record"


@dataclass(frozen=True, slots=True)
class OneCondition:
    """One condition, as under ``when``."""


@dataclass(frozen=True, slots=True)
class SomeConditions:
    """A list of conditions."""


type Value = (
    Text
    | Texts
    | Whole
    | Choice
    | Flag
    | ShapeOf
    | Literals
    | Nested
    | OneCondition
    | SomeConditions
)


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a mapping; ``says`` is its sentence in the reference."""

    name: str
    value: Value
    says: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """A mapping with known keys; ``needs`` are keys of which at least one must be there."""

    says: str
    fields: tuple[Field, ...]
    needs: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The keys, in the order in which they are documented."""
        return tuple(field.name for field in self.fields)

    def field(self, name: str) -> Field:
        """Return a key's specification; raise KeyError where the record has none of that name."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)
