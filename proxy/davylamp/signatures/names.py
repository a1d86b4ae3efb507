r"""Lists of host names, one tab-separated line each, and the lookup by suffix.

Columns: name, kind, grade, coins, pool, source, date. A name stands for that host alone; with a
leading ``*.`` it stands for every name beneath it, and not for itself. The longest name wins.
Lines that begin with ``#`` are comments. docs/signatures.md says how entries are chosen.
"""

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import lru_cache
from sys import intern

import msgspec

from davylamp.errors import PackError
from davylamp.signatures.rows import rows

MAX_LOOKUPS = 10
_COLUMNS = ("name", "kind", "grade", "coins", "pool", "source", "date")


class Kind(StrEnum):
    """What a host is for.

    ``endpoint``: miners connect here. ``mixed``: stratum and the pool's own website share the
    name. ``website``: people read here; never reported, listed so that no wider entry covers it.
    """

    ENDPOINT = "endpoint"
    MIXED = "mixed"
    WEBSITE = "website"


class Grade(StrEnum):
    """How well an entry is known; docs/signatures.md has the rule for each."""

    CONFIRMED = "confirmed"
    PROBABLE = "probable"
    CANDIDATE = "candidate"


CONFIDENCE = {Grade.CONFIRMED: 95, Grade.PROBABLE: 70, Grade.CANDIDATE: 50}
"""How sure an entry of a grade is, 0 to 100."""

_MIXED_AT_MOST = 60


class NameEntry(msgspec.Struct, frozen=True, gc=False):
    """One line of a list; ``date`` is when it was last checked, as YYYY-MM-DD.

    (A msgspec struct, because a list may have hundreds of thousands.)
    """

    name: str
    kind: Kind
    grade: Grade
    coins: tuple[str, ...]
    pool: str
    source: str
    date: str

    @property
    def may_block(self) -> bool:
        """Whether a match may be blocked on its own: only confirmed mining endpoints."""
        return self.kind is Kind.ENDPOINT and self.grade is Grade.CONFIRMED

    @property
    def confidence(self) -> int:
        """How sure a match is, 0 to 100."""
        known = CONFIDENCE[self.grade]
        return known if self.kind is Kind.ENDPOINT else min(known, _MIXED_AT_MOST)


def parse_names(data: bytes, file: str) -> tuple[NameEntry, ...]:
    """Return the entries of a list; raise PackError naming the line that cannot be read."""
    seen: dict[str, int] = {}
    entries: list[NameEntry] = []
    for number, where, cells in rows(data, file, _COLUMNS):
        entry = _entry(cells, where)
        if entry.name in seen:
            raise PackError(f"{where}: {entry.name!r} is also on line {seen[entry.name]}; keep one")
        seen[entry.name] = number
        entries.append(entry)
    return tuple(entries)


def _entry(cells: list[str], where: str) -> NameEntry:
    name, kind, grade, coins, pool, source, date = cells
    if not _is_host(name.removeprefix("*.")):
        raise PackError(f"{where}: {name!r} is not a host name in lower case; no scheme, no port")
    if kind not in _KINDS or grade not in _GRADES:
        raise PackError(
            f"{where}: kind is one of {', '.join(_KINDS)}; grade is one of {', '.join(_GRADES)}"
        )
    return NameEntry(
        name,
        _KINDS[kind],
        _GRADES[grade],
        tickers(coins),
        intern(pool),
        intern(source),
        intern(date),
    )


@lru_cache(maxsize=4096)
def tickers(text: str) -> tuple[str, ...]:
    """Return the coins in a list's cell, where ``-`` is none."""
    return () if text == "-" else tuple(text.split(","))


_KINDS = {kind.value: kind for kind in Kind}
_GRADES = {grade.value: grade for grade in Grade}


# A label has a letter or digit in it; two to nine of them, so that no name has more look-ups.
_LABEL = r"(?=[_-]*[a-z0-9])[a-z0-9_-]{1,63}"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL}){{1,{MAX_LOOKUPS - 2}}}\Z", re.ASCII)


def _is_host(name: str) -> bool:
    return _HOST.match(name) is not None


def candidates(name: str) -> Iterator[str]:
    """Yield the list keys that a host name can match, longest first: at most ten.

    ``a.b.c`` gives ``a.b.c``, ``*.b.c``, ``*.c``. Names of more labels than any entry has are cut
    from the left, so that a hostile name costs no more than an ordinary one.
    """
    if len(name) > 255:
        return
    # No entry has that many labels, so the first key of a longer name cannot match by accident.
    rest = ".".join(name.rstrip(".").lower().split(".")[-MAX_LOOKUPS:])
    yield rest
    while dot := rest.find(".") + 1:
        rest = rest[dot:]
        yield f"*.{rest}"


def find[T](table: Mapping[str, T], name: str) -> T | None:
    """Return what a table keyed by list names holds for a host name, the longest match."""
    for key in candidates(name):
        if (value := table.get(key)) is not None:
            return value
    return None


def find_all[T](table: Mapping[str, T], name: str) -> list[T]:
    """Return all that a table keyed by list names holds for a host name, the longest first."""
    return [value for key in candidates(name) if (value := table.get(key)) is not None]
