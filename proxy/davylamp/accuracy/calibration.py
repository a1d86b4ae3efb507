"""How often findings of a kind and confidence are met in mining, and in what is none.

A signature's confidence is a claim: of 100 flows with such a finding, so many mine, where mining
and anything else were equally likely before. The claim can be compared with what captures hold:
with a finding in a share m of mining flows and in a share b of others, it is m / (m + b). Both
shares are uncertain, so the lower end of m's 95 % interval is set against the upper end of b's
(Wilson's score interval): what is *at least* borne out. Few flows bear out little, whatever is
true.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from davylamp.accuracy.corpora import FileFigures, Label, Met
from davylamp.accuracy.crossing import Tally
from davylamp.fusion import ABOUT_MINING
from davylamp.signatures.model import Kind, Maturity, Signature, SignatureId
from davylamp.signatures.pack import Pack

_QUANTILE = 1.96  # of the normal distribution, for 95 %


class Confidence(StrEnum):
    """How sure a finding is by itself; ``DOUBTFUL`` is one of a signature that is not stable."""

    CONCLUSIVE = "90 to 100"
    SURE = "80 to 89"
    WEAK = "70 to 79"
    WEAKER = "51 to 69"
    NOTHING = "50 and less"
    DOUBTFUL = "doubtful"


_FROM = {
    90: Confidence.CONCLUSIVE,
    80: Confidence.SURE,
    70: Confidence.WEAK,
    51: Confidence.WEAKER,
    0: Confidence.NOTHING,
}


@dataclass(frozen=True, slots=True)
class Frequency:
    """In how many of so many flows something was met."""

    met: int
    of: int

    @property
    def lower(self) -> float:
        """The lower end of the share's 95 % interval."""
        return self._end(-1)

    @property
    def upper(self) -> float:
        """The upper end of the share's 95 % interval; 1 where nothing was looked at."""
        return self._end(1)

    def _end(self, side: int) -> float:
        if not self.of:
            return max(0.0, float(side))
        n, z = self.of, _QUANTILE
        share = self.met / n
        spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
        return min(1.0, max(0.0, (share + z * z / (2 * n) + side * spread) / (1 + z * z / n)))


@dataclass(frozen=True, slots=True)
class Calibrated:
    """One kind and confidence: where its findings were met, and by how many signatures."""

    kind: Kind
    confidence: Confidence
    signatures: int
    mining: Frequency
    others: Frequency
    near: Frequency
    written: Frequency

    @property
    def borne_out(self) -> float | None:
        """The confidence that the captures bear out at least, 0 to 100; None where none mines."""
        if not self.mining.met or not self.others.of:
            return None
        lower, upper = self.mining.lower, self.others.upper
        return 100 * lower / (lower + upper)


type _Row = tuple[Kind, Confidence]


def calibrate(
    pack: Pack, captures: Mapping[Label, tuple[FileFigures, ...]], tally: Tally
) -> tuple[Calibrated, ...]:
    """Return a row for each kind and confidence among a pack's signatures about mining.

    A mining flow is one of the captures of mining in which anything was told.
    """
    about = {
        one.id: one
        for one in pack.signatures.values()
        if one.category in ABOUT_MINING and one.maturity is not Maturity.SANDBOX
    }
    signatures = Counter(_row(one, one.confidence) for one in about.values())
    flows = {label: sum(file.flows for file in files) for label, files in captures.items()}
    flows[Label.MINING] = sum(file.told for file in captures[Label.MINING])
    met = {
        label: Counter(row for file in files for row in _rows(about, file.met))
        for label, files in captures.items()
    }
    alarmed = {
        (alarm.example, alarm.layer, alarm.way, _row(one, one.confidence))
        for alarm in tally.alarms
        if (one := about.get(alarm.signature))
    }
    written = Counter(row for *_, row in alarmed)
    return tuple(
        Calibrated(
            kind,
            confidence,
            signatures[kind, confidence],
            mining=Frequency(met[Label.MINING][kind, confidence], flows[Label.MINING]),
            others=Frequency(met[Label.BENIGN][kind, confidence], flows[Label.BENIGN]),
            near=Frequency(met[Label.NEAR][kind, confidence], flows[Label.NEAR]),
            written=Frequency(written[kind, confidence], tally.benign),
        )
        for kind in Kind
        for confidence in Confidence
        if any(counted[kind, confidence] for counted in (signatures, written, *met.values()))
    )


def _row(signature: Signature, confidence: int) -> _Row:
    """Return where a finding is counted; a name on a list may be less sure than its signature."""
    if signature.maturity is not Maturity.STABLE:
        return signature.kind, Confidence.DOUBTFUL
    return signature.kind, next(one for least, one in _FROM.items() if confidence >= least)


def _rows(about: Mapping[SignatureId, Signature], met: Iterable[Met]) -> Iterator[_Row]:
    """Yield each kind and confidence that one file's flows hold, once a flow."""
    rows = {
        (one.flow, _row(signature, one.confidence))
        for one in met
        if (signature := about.get(one.signature))
    }
    for _, row in rows:
        yield row
