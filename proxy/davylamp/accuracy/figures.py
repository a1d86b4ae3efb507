"""All figures of one run, and what of them fell short."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from davylamp.accuracy.calibration import Calibrated
from davylamp.accuracy.corpora import FileFigures, Label
from davylamp.accuracy.cost import Cost
from davylamp.accuracy.crossing import Cell, Tally
from davylamp.accuracy.forms import Form
from davylamp.accuracy.layers import BARE

_MILLION = 1_000_000
_SOURCES = {
    Label.NEAR: "near misses, recorded of programs",
    Label.BENIGN: "captures of other traffic",
}
_NAMED = 5  # of what fell short, in one line


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many."""

    count: int
    of: int


@dataclass(frozen=True, slots=True)
class Where:
    """Which trials are meant: those of this dialect, layer and way, where one is named.

    Left out, unless asked for, are messages that mean nothing under another method's name.
    """

    dialect: str | None = None
    layer: str | None = None
    way: str | None = None
    known_by_name: bool = False

    def holds(self, cell: Cell) -> bool:
        """Tell whether a trial is meant."""
        by_name = cell.way == Form.RENAMED and not cell.by_shape
        return (
            by_name == self.known_by_name
            and self.dialect in (None, cell.dialect)
            and self.layer in (None, cell.layer)
            and self.way in (None, cell.way)
        )


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """Flows of ``source`` that are no mining, and how many of them raised an alert of mining.

    ``named`` says what each was. ``sampled`` says that the flows are some of a larger traffic, so
    that a rate means something.
    """

    source: str
    flows: int
    alarmed: int
    named: tuple[str, ...] = ()
    sampled: bool = False

    @property
    def per_million(self) -> float:
        """The rate that was seen."""
        return self.alarmed * _MILLION / max(1, self.flows)

    @property
    def upper(self) -> float | None:
        """Where none was seen: the end of the rate's 95 % interval, by the rule of three."""
        return None if self.alarmed or not self.flows else 3 * _MILLION / self.flows


@dataclass(frozen=True, slots=True)
class Report:
    """One run; captures by label and file, empty where none were there."""

    pack: str
    tally: Tally
    captures: Mapping[Label, tuple[FileFigures, ...]]
    calibration: tuple[Calibrated, ...]
    cost: Cost
    machine: str
    notes: tuple[str, ...] = ()

    @property
    def mining(self) -> tuple[FileFigures, ...]:
        """The captures that hold mining."""
        return self.captures[Label.MINING]

    @property
    def others(self) -> tuple[FileFigures, ...]:
        """The captures that hold none."""
        return self.captures[Label.BENIGN] + self.captures[Label.NEAR]

    @property
    def false_alarms(self) -> tuple[FalseAlarms, ...]:
        """What was told of what is no mining, by source."""
        made = {(alarm.example, alarm.layer, alarm.way) for alarm in self.tally.alarms}
        named = tuple(
            f"{one.signature} on {one.example!r} ({one.layer}, {one.way})"
            for one in self.tally.alarms
        )
        found = [FalseAlarms("near misses, written", self.tally.benign, len(made), named)]
        for label, source in _SOURCES.items():
            if files := self.captures[label]:
                found.append(_in_captures(source, files, sampled=label is Label.BENIGN))
        return tuple(found)

    @property
    def mining_files(self) -> Share:
        """How many of the captures that hold mining were told to."""
        return Share(sum(bool(one.told) for one in self.mining), len(self.mining))

    def recall(self, where: Where) -> Share:
        """Return how many of the trials there were told."""
        return self._share(self.tally.told, where)

    def blocked(self, where: Where) -> Share:
        """Return how many of the trials there were blocked by one message alone."""
        return self._share(self.tally.blocked, where)

    def shortfalls(self) -> Iterator[str]:
        """Yield a sentence for each thing that was expected and is not so."""
        for layer in dict.fromkeys(cell.layer for cell in self.tally.tried):
            yield from self._short(f"in {layer!r}", Where(layer=layer))
        for way in dict.fromkeys(cell.way for cell in self.tally.tried):
            yield from self._short(f"where {way!r}", Where(layer=BARE.name, way=way))
        for alarms in self.false_alarms:
            if alarms.alarmed:
                named = ", ".join(alarms.named[:_NAMED])
                yield f"{alarms.alarmed:,} false alarms on {alarms.source}: {named}"
        for one in self.mining:
            if not one.told:
                yield f"no mining told in {one.name}"

    def _short(self, words: str, where: Where) -> Iterator[str]:
        share = self.recall(where)
        if share.count < share.of:
            missed = [example for example, cell in self.tally.missed if where.holds(cell)]
            named = ", ".join(list(dict.fromkeys(missed))[:_NAMED])
            yield f"{share.count:,} of {share.of:,} told {words}; not told: {named}"

    def _share(self, counted: Counter[Cell], where: Where) -> Share:
        tried = self.tally.tried
        cells = [cell for cell in tried if where.holds(cell)]
        return Share(sum(counted[cell] for cell in cells), sum(tried[cell] for cell in cells))


def _in_captures(source: str, files: tuple[FileFigures, ...], *, sampled: bool) -> FalseAlarms:
    return FalseAlarms(
        source,
        sum(one.flows for one in files),
        sum(one.told for one in files),
        tuple(f"{'+'.join(one.signatures)} in {one.name}" for one in files if one.told),
        sampled,
    )
