"""What the findings of one flow amount to together.

Strategy. A confidence of c in 100 is read as odds of c to 100 - c that the flow mines, where
nothing else were known. Odds of independent observations multiply, so their logarithms add up:
the weight of a finding is ten times the decimal logarithm of its odds (decibans: 60 weighs 1.8, 70
weighs 3.7, 80 weighs 6.0, 90 weighs 9.5). What makes a flow a miner's is a sum as heavy as one
finding of the policy's threshold.

Independent is what differs in kind (`davylamp.signatures.model.Kind`). Of one kind the surest
finding counts, and of one message too: a login seen ten times, or told by two signatures, is one
login. So the sum has at most as many parts as there are kinds, and so has what is remembered.

Only stable signatures about mining count. An anomaly's confidence says how sure the anomaly is, a
node's own block template says that somebody runs a node: neither is odds of mining.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from davylamp.inspection.finding import MAX_EXCERPT, Finding
from davylamp.signatures.model import Category, Kind, Maturity

if TYPE_CHECKING:
    from davylamp.flow import Direction

ABOUT_MINING = frozenset({Category.MINING, Category.POOL})
"""Categories whose confidence is that a flow mines."""

_MAX_CONFIDENCE = 99  # of a part and of a sum: nothing is certain
_EVEN = 50  # at or below, a finding speaks for nothing
_FINDING_OVERHEAD = 256  # bytes of memory beside the excerpt


def weight(confidence: float) -> float:
    """Return how much a confidence (0 to 100) weighs, in decibans; infinite at 100."""
    if confidence >= 100:
        return math.inf
    return 10 * math.log10(max(confidence, 0.01) / (100 - confidence))


@dataclass(frozen=True, slots=True)
class Part:
    """One finding that counts."""

    finding: Finding

    @property
    def confidence(self) -> int:
        """What it counts for, 51 to 99."""
        return min(self.finding.confidence, _MAX_CONFIDENCE)

    @property
    def weight(self) -> float:
        """The same in decibans."""
        return weight(self.confidence)


@dataclass(frozen=True, slots=True)
class Sum:
    """All that counts of a flow so far, heaviest first, one part a kind."""

    parts: tuple[Part, ...] = ()

    @property
    def weight(self) -> float:
        """Decibans of all parts together; 0 where there is none."""
        return math.fsum(part.weight for part in self.parts)

    @property
    def confidence(self) -> int:
        """How sure all parts together are: a whole number up to 99, rounded down, or 0."""
        if not self.parts:
            return 0
        if len(self.parts) == 1:
            return self.parts[0].confidence
        odds = 10 ** (self.weight / 10)
        return min(int(100 * odds / (1 + odds)), _MAX_CONFIDENCE)

    def reaches(self, threshold: int) -> bool:
        """Tell whether the parts are together as sure as one finding of this confidence."""
        return bool(self.parts) and self.weight >= weight(threshold)

    def without(self, kind: Kind) -> "Sum":
        """Return what is left of it where a kind is not counted."""
        return Sum(tuple(part for part in self.parts if part.finding.kind is not kind))


class Suspicion:
    """What is remembered about one flow: the signatures told, and the surest finding of each kind.

    Bounded: as many findings as there are kinds, and as many ids as the reporter tells of a flow.
    """

    __slots__ = ("_surest", "reported")

    def __init__(self) -> None:
        self.reported: set[str] = set()
        self._surest: dict[Kind, Finding] = {}

    def __bool__(self) -> bool:
        """Whether anything was told or counts."""
        return bool(self.reported or self._surest)

    @property
    def held(self) -> int:
        """Bytes of memory that the findings take, at most."""
        return len(self._surest) * (_FINDING_OVERHEAD + MAX_EXCERPT)

    def weigh(self, found: Iterable[Finding]) -> Sum:
        """Take what one piece of the flow told; return what counts of the whole flow now."""
        for finding in _surest_of_each_message(found):
            _keep_surest(self._surest, finding.kind, finding)
        parts = sorted(
            map(Part, self._surest.values()), key=lambda part: (-part.confidence, part.finding.kind)
        )
        return Sum(tuple(parts))


def counts(finding: Finding) -> bool:
    """Tell whether a finding is worth anything together with others."""
    return (
        finding.signature.maturity is Maturity.STABLE
        and finding.signature.category in ABOUT_MINING
        and finding.confidence > _EVEN
    )


def _surest_of_each_message(found: Iterable[Finding]) -> Iterable[Finding]:
    surest: dict[tuple[Direction, int, int], Finding] = {}
    for finding in filter(counts, found):
        _keep_surest(surest, (finding.direction, finding.offset, finding.end), finding)
    return surest.values()


def _keep_surest[K](surest: dict[K, Finding], key: K, finding: Finding) -> None:
    """Keep the surer of two findings; of two as sure, whichever order they came in, the same."""
    known = surest.get(key)
    if known is None or _rank(finding) > _rank(known):
        surest[key] = finding


def _rank(finding: Finding) -> tuple[int, str, str]:
    return finding.confidence, finding.kind, finding.signature.id
