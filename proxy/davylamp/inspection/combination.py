"""Combinations of conditions on one flow: what was met so far, and whether that is enough.

Strategy. A condition inside a combination is looked for like any other, by a signature of its own
whose findings come here and go no further. The first of it is remembered. A combination is woken
by the parts that its index chose, and from then on asked again whenever another part is met or
more bytes have come, until it holds.

What is absent is so once enough bytes were seen of whoever could have said it, and only if none
were lost: so the answer is the same however the stream is cut, and no hole in it is taken for
silence.

Bounded: `MAX_MET` parts are remembered of a flow and `MAX_WOKEN` combinations asked about; what
comes beyond that is not.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from davylamp.flow import Direction
from davylamp.inspection.finding import MAX_EXCERPT, Finding
from davylamp.signatures.combined import CombinationIndex, Combined
from davylamp.signatures.flights import Flights, Sized
from davylamp.signatures.model import Absent, AllOf, AnyOf, Leaf, Tree

MAX_MET = 64
MAX_WOKEN = 32

_OVERHEAD = 256  # bytes of memory beside the excerpt


@dataclass(frozen=True, slots=True)
class Seen:
    """How much was seen of a flow: bytes of the originator and of the responder, and flights.

    ``flights`` is None where they are not known.
    """

    bytes: tuple[int, int]
    flights: Flights | None


class Gathering:
    """What one flow has met of a pack's combinations."""

    __slots__ = ("_earliest", "_index", "_met", "_told", "_woken")

    def __init__(self, index: CombinationIndex) -> None:
        self._index = index
        self._met: dict[Leaf, Finding] = {}
        self._earliest: dict[Leaf, int] = {}  # where a part ended that ended first
        self._woken: dict[str, Combined] = {}
        self._told: set[str] = set()

    @property
    def waiting(self) -> bool:
        """Whether a combination was woken and does not hold yet."""
        return bool(self._woken)

    @property
    def held(self) -> int:
        """Bytes of memory that it takes, at most."""
        return (_OVERHEAD + MAX_EXCERPT) * len(self._met)

    def take(self, finding: Finding) -> None:
        """Remember that a part was met."""
        leaf = finding.signature.part
        assert leaf is not None
        if leaf in self._met:
            self._earliest[leaf] = min(self._earliest[leaf], finding.end)
            return
        if len(self._met) >= MAX_MET:
            return
        self._met[leaf] = finding
        self._earliest[leaf] = finding.end
        for signature, condition in self._index.woken_by(leaf):
            if len(self._woken) < MAX_WOKEN and signature.id not in self._told:
                self._woken[signature.id] = (signature, condition)

    def holding(self, seen: Seen) -> Iterator[Finding]:
        """Yield what holds now, once each."""
        for identity, (signature, condition) in tuple(self._woken.items()):
            if not self._holds(condition.tree, seen):
                if not _may_hold(condition.tree, seen.flights):
                    del self._woken[identity]
                    self._told.add(identity)
                continue
            del self._woken[identity]
            self._told.add(identity)
            last = [self._met[leaf] for leaf in condition.positive() if leaf in self._met][-1]
            confidence = signature.confidence
            yield replace(
                last,
                signature=signature,
                confidence=confidence,
                coin=signature.coin or last.coin,
                detail=signature.detail,
            )

    def _holds(self, tree: Tree, seen: Seen) -> bool:
        match tree:
            case Leaf():
                return tree in self._met
            case AllOf(parts):
                return all(self._holds(part, seen) for part in parts)
            case AnyOf(parts):
                return any(self._holds(part, seen) for part in parts)
            case Absent(leaf, enough, direction):
                return self._is_absent(leaf, enough, direction, seen)
            case Sized():
                return seen.flights is not None and tree.judge(seen.flights) is True

    def _is_absent(self, leaf: Leaf, enough: int, direction: Direction | None, seen: Seen) -> bool:
        originator, responder = seen.bytes
        if direction is not Direction.RESPONDER and originator < enough:
            return False
        if direction is not Direction.ORIGINATOR and responder < enough:
            return False
        return self._earliest.get(leaf, enough + 1) > enough


def _may_hold(tree: Tree, flights: Flights | None) -> bool:
    """Tell whether a tree may yet hold, as far as the sizes of flights tell."""
    match tree:
        case Sized():
            return flights is not None and tree.judge(flights) is not False
        case AllOf(parts):
            return all(_may_hold(part, flights) for part in parts)
        case AnyOf(parts):
            return any(_may_hold(part, flights) for part in parts)
        case Leaf() | Absent():
            return True
