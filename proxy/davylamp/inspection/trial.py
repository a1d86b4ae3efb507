"""Binary protocols that begin alike, with zeros and small lengths: all are tried at once.

The first to be certain reads on alone; each is certain by more than 2^-50, so that their order
does not matter. When none is left, the bytes are handed back. One after the other would not do:
the wrong one may wait for a length that never comes.
"""

from typing import Protocol

from davylamp.inspection.alephium import AlephiumGreeting
from davylamp.inspection.peers import PeerGreeting
from davylamp.inspection.reader import Inner, Place, Reader
from davylamp.inspection.stratumv2 import StratumV2


class _Candidate(Reader, Protocol):
    @property
    def matched(self) -> bool: ...


class Trial:
    """Reads one direction as several protocols until one is certain."""

    __slots__ = ("_candidates", "_held", "_winner")
    inner = Inner.NONE

    def __init__(self, place: Place) -> None:
        self._candidates: list[_Candidate] = [
            StratumV2(place),
            AlephiumGreeting(place),
            PeerGreeting(place),
        ]
        self._winner: _Candidate | None = None
        self._held = b""

    @property
    def settled(self) -> bool:
        """Whether the certain one is settled."""
        return self._winner is not None and self._winner.settled

    @property
    def partial(self) -> bool:
        """Whether none is certain yet, or the certain one holds half a message."""
        return self._winner.partial if self._winner is not None else bool(self._held)

    @property
    def held(self) -> int:
        """Bytes that all of them hold."""
        if self._winner is not None:
            return self._winner.held
        return len(self._held) + sum(one.held for one in self._candidates)

    def receive(self, data: bytes, offset: int) -> bytes | None:
        """Take more of the stream; hand back what is none of the protocols."""
        if self._winner is not None:
            return self._winner.receive(data, offset)
        self._held += data
        for one in tuple(self._candidates):
            rest = one.receive(data, offset)
            if one.matched:
                self._winner = one
                self._held = b""
                self._candidates.clear()
                return rest
            if rest is not None:
                self._candidates.remove(one)
        if self._candidates:
            return None
        held, self._held = self._held, b""
        return held
