"""Every example in every layer, form and delivery that applies to it, judged and counted.

Not the full cube: each form travels whole through each layer, and the plain form travels through
each layer cut in each way. What applies: a form needs JSON, two lines need a layer that is read by
lines, and mining that is no JSON passes tunnels only.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from davylamp.accuracy.delivery import Delivery, segments
from davylamp.accuracy.examples import Example
from davylamp.accuracy.forms import Form, rewrite
from davylamp.accuracy.judge import MINING, Judge, Told
from davylamp.accuracy.layers import BARE, LAYERS, Layer
from davylamp.accuracy.pieces import Pieces
from davylamp.signatures.model import SignatureId


class Way(NamedTuple):
    """How a conversation is written and cut."""

    form: Form
    delivery: Delivery

    @property
    def name(self) -> str:
        """What the tables call it."""
        return (self.delivery if self.form is Form.PLAIN else self.form).value


WAYS: tuple[Way, ...] = (
    *(Way(Form.PLAIN, delivery) for delivery in Delivery),
    *(Way(form, Delivery.WHOLE) for form in Form if form is not Form.PLAIN),
)
_COMMON = frozenset({BARE.name, "HTTP body", "WebSocket"})
_CUTS = tuple(way for way in WAYS if way.form is Form.PLAIN)


class Cell(NamedTuple):
    """Where a trial is counted; ``by_shape`` matters only where the method was renamed."""

    dialect: str
    layer: str
    way: str
    by_shape: bool


class Delay(NamedTuple):
    """When the verdict came, in bytes of its direction.

    ``at`` from the stream's start, ``behind`` from the byte that completed the first message
    (negative: before it).
    """

    at: int
    behind: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alert on what is no mining."""

    example: str
    layer: str
    way: str
    signature: SignatureId


@dataclass(slots=True)
class Tally:
    """What was tried and what came of it; tallies of parts add up."""

    tried: Counter[Cell] = field(default_factory=Counter)
    told: Counter[Cell] = field(default_factory=Counter)
    blocked: Counter[Cell] = field(default_factory=Counter)
    delays: dict[str, list[Delay]] = field(default_factory=dict)
    missed: list[tuple[str, Cell]] = field(default_factory=list)
    benign: int = 0
    alarms: list[Alarm] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Take in what another part counted."""
        self.tried += other.tried
        self.told += other.told
        self.blocked += other.blocked
        for layer, delays in other.delays.items():
            self.delays.setdefault(layer, []).extend(delays)
        self.missed += other.missed
        self.benign += other.benign
        self.alarms += other.alarms


def cross(judge: Judge, examples: Iterable[Example]) -> Tally:
    """Return what the judge tells of the examples in all that applies to each."""
    tally = Tally()
    for example in examples:
        for layer, way in _applicable(example):
            messages = tuple(rewrite(way.form, message) for message in example.messages)
            pieces = layer.wrap(messages)
            told = judge.hear(segments(way.delivery, pieces))
            if example.signature is None:
                _count_benign(tally, example, layer, way, told)
            else:
                _count_mining(tally, example, layer, way, told)
                if way.delivery is Delivery.BYTES and told and len(messages) == 1:
                    delay = _delay(pieces, told[0])
                    tally.delays.setdefault(layer.name, []).append(delay)
    return tally


def _applicable(example: Example) -> Iterator[tuple[Layer, Way]]:
    benign = example.signature is None
    for layer in LAYERS:
        plain = not example.is_json or (benign and layer.name not in _COMMON)
        if not (example.is_json or layer.transparent or benign):
            continue
        if example.is_document and layer.lines:
            continue
        for way in _CUTS if plain else WAYS:
            if way.form is Form.TWO_LINES and not layer.lines:
                continue
            if way.form is Form.RENAMED and benign:
                continue
            yield layer, way


def _count_benign(
    tally: Tally, example: Example, layer: Layer, way: Way, told: tuple[Told, ...]
) -> None:
    tally.benign += 1
    tally.alarms += [
        Alarm(example.name, layer.name, way.name, one.signature)
        for one in told
        if one.category in MINING
    ]


def _count_mining(
    tally: Tally, example: Example, layer: Layer, way: Way, told: tuple[Told, ...]
) -> None:
    cell = Cell(example.dialect, layer.name, way.name, example.by_shape)
    tally.tried[cell] += 1
    if way.form is Form.RENAMED:  # another signature may be the one that knows the shape
        right = any(one.category in MINING for one in told)
    else:
        right = any(one.signature == example.signature for one in told)
    if right:
        tally.told[cell] += 1
    else:
        tally.missed.append((example.name, cell))
    if any(one.blocked for one in told):
        tally.blocked[cell] += 1


def _delay(pieces: Pieces, told: Told) -> Delay:
    complete = before = 0
    for piece in pieces:
        if piece.direction is told.direction:
            if piece.complete:
                complete = before + piece.complete
                break
            before += len(piece.data)
    return Delay(told.at, told.at - complete)
