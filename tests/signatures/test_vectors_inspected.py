"""Every vector through the production inspector: whole, byte by byte, and cut at every boundary."""

from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate

from davylamp.flow import Direction
from davylamp.inspection.inspector import Inspector
from davylamp.signatures.model import JsonCondition, SignatureId
from davylamp.signatures.pack import Pack
from davylamp.signatures.vectors import Bytes, Vector, feedings


@dataclass(frozen=True, slots=True)
class Told:
    """What was found where, and ``after`` how many bytes of both directions it was told."""

    identity: SignatureId
    direction: Direction
    offset: int
    end: int
    layers: tuple[str, ...]
    after: int


def stream_of(vector: Vector) -> tuple[Bytes, ...]:
    """Return the steps that are bytes on a wire."""
    return tuple(step for step in vector.steps if isinstance(step, Bytes))


def told(pack: Pack, stream: tuple[Bytes, ...]) -> list[Told]:
    """Return what the inspector finds in a stream, in order."""
    inspector, after = Inspector(pack), 0
    found: list[Told] = []
    for step in stream:
        after += len(step.data)
        found += [
            Told(one.signature.id, one.direction, one.offset, one.end, one.layers, after)
            for one in inspector.receive(step.direction, step.data, 0.0)
        ]
    return found


def test_an_example_fires_however_it_is_cut(
    everything: Pack, core: Pack, example: tuple[SignatureId, Vector]
) -> None:
    """The same evidence at the same offset, told at the same byte, whatever the segments.

    A segment that holds that byte is the one that tells it; and nothing fires but what the vector
    lists.
    """
    identity, vector = example
    stream = stream_of(vector)
    if not stream:
        assert not isinstance(everything.signatures[identity].condition, JsonCondition)
        return
    ways = dict(feedings(stream))
    exact = told(everything, ways["byte by byte"])
    assert (identity in {one.identity for one in exact}) is vector.fires
    assert {one.identity for one in told(core, stream)} - {identity} == set(vector.also)
    for word, feeding in ways.items():
        ends = list(accumulate(len(step.data) for step in feeding))
        expected = [
            Told(
                one.identity,
                one.direction,
                one.offset,
                one.end,
                one.layers,
                ends[bisect_left(ends, one.after)],
            )
            for one in exact
        ]
        assert told(everything, feeding) == expected, word


def test_a_neighbour_fires_nothing_however_it_is_cut(
    core: Pack, neighbour: tuple[SignatureId, Vector]
) -> None:
    """Software that is no miner stays silent however its bytes arrive."""
    for word, feeding in feedings(stream_of(neighbour[1])):
        assert told(core, feeding) == [], word
