"""A reader of one thing at a direction's start; what follows it is handed back."""

from abc import ABC, abstractmethod
from typing import Protocol

from davylamp.inspection.reader import Inner, Place
from davylamp.inspection.wire.reader import Malformed


class OneThing[T](Protocol):
    """What a wire reader of one thing is: every `PrefixReader`."""

    def feed(self, data: bytes) -> T | Malformed | None:
        """Take the next bytes; return the thing once it is whole, or that it is none."""
        ...


class Beginning[T](ABC):
    """Feeds a wire reader until it answers; holds what it was fed, to hand it back.

    ``matched`` says that the thing was there. A subclass reports it and says where it ends.
    """

    __slots__ = ("_held", "_place", "_reader", "inner", "matched")

    def __init__(self, place: Place, reader: OneThing[T]) -> None:
        self._place = place
        self._reader = reader
        self._held = b""
        self.inner = Inner.NONE
        self.matched = False

    @property
    def settled(self) -> bool:
        """Whether the flow needs no more looking at: never, something else follows."""
        return False

    @property
    def partial(self) -> bool:
        """Whether the thing has begun and not ended."""
        return bool(self._held)

    @property
    def held(self) -> int:
        """Bytes of the unfinished thing, here and in its reader."""
        return 2 * len(self._held)

    def receive(self, data: bytes, offset: int) -> bytes | None:
        """Take bytes up to the thing's end; hand back what follows, or all if it was none."""
        self._held += data
        found = self._reader.feed(data)
        if found is None:
            return None
        held, self._held = self._held, b""
        if isinstance(found, Malformed):
            return held
        self.matched = True
        end = self._report(found, held, offset + len(data) - len(held))
        return held[end:]

    @abstractmethod
    def _report(self, found: T, data: bytes, offset: int) -> int:
        """Tell the context what was found in bytes that begin at ``offset``; return its size."""
