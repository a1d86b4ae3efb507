"""Finds which of many literals a text begins with, whatever their number.

The first four characters are looked up; where some literal begins so, one look-up for each length
that literals of this beginning have: at most 64, and none for nearly every text.
"""

from collections.abc import Iterator

from davylamp.signatures.language import MIN_ANCHOR


class Prefixes[K: (str, bytes), T]:
    """Literals of at least four characters, each with what is filed under it."""

    __slots__ = ("_filed", "gate")

    def __init__(self) -> None:
        self.gate: dict[K, list[int]] = {}
        """The literals' lengths by their first `MIN_ANCHOR` characters: for callers in a hurry."""
        self._filed: dict[K, list[T]] = {}

    def __bool__(self) -> bool:
        return bool(self._filed)

    def add(self, literal: K, filed: T) -> None:
        """File something under a literal."""
        assert len(literal) >= MIN_ANCHOR, literal
        lengths = self.gate.setdefault(literal[:MIN_ANCHOR], [])
        if len(literal) not in lengths:
            lengths.append(len(literal))
            lengths.sort()
        self._filed.setdefault(literal, []).append(filed)

    def lengths(self, text: K) -> list[int]:
        """Return which lengths literals have that begin as a text does; shortest first."""
        return self.gate.get(text[:MIN_ANCHOR], [])

    def filed(self, literal: K) -> list[T]:
        """Return what is filed under exactly this literal."""
        return self._filed.get(literal, [])

    def find(self, text: K) -> list[T]:
        """Return what is filed under any literal that a text begins with."""
        lengths = self.gate.get(text[:MIN_ANCHOR])
        if lengths is None:
            return []
        found: list[T] = []
        for length in lengths:
            if length > len(text):
                break
            found += self._filed.get(text[:length], [])
        return found

    def items(self) -> Iterator[tuple[K, list[T]]]:
        """Yield every literal with what is filed under it."""
        yield from self._filed.items()
