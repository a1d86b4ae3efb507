"""Every vector through the production inspector: whole, byte by byte, and cut everywhere."""

from itertools import islice

from davylamp.inspection.inspector import Inspector
from davylamp.signatures.model import JsonCondition, SignatureId
from davylamp.signatures.pack import Pack
from davylamp.signatures.vectors import Bytes, Vector, feedings

# Cutting everywhere is quadratic; longer streams are cut at evenly spread boundaries instead.
MAX_CUTS = 250

type Feeding = tuple[str, tuple[Bytes, ...]]


def stream_of(vector: Vector) -> tuple[Bytes, ...]:
    """Return the steps that are bytes on a wire."""
    return tuple(step for step in vector.steps if isinstance(step, Bytes))


def cuts(stream: tuple[Bytes, ...]) -> list[Feeding]:
    """Return the feedings to try: whole, byte by byte, and at most MAX_CUTS cuts."""
    size = sum(len(step.data) for step in stream)
    found = feedings(stream)
    return [*islice(found, 2), *islice(found, 0, None, size // MAX_CUTS + 1)]


def fired(pack: Pack, stream: tuple[Bytes, ...]) -> list[SignatureId]:
    """Return the ids that the inspector finds in a stream, in order."""
    inspector = Inspector(pack)
    return [
        finding.signature.id
        for step in stream
        for finding in inspector.receive(step.direction, step.data, 0.0)
    ]


def test_an_example_fires_however_it_is_cut(
    everything: Pack, example: tuple[SignatureId, Vector]
) -> None:
    """The verdict is the same whole, byte by byte, and cut at every boundary."""
    identity, vector = example
    stream = stream_of(vector)
    if not stream:
        assert not isinstance(everything.signatures[identity].condition, JsonCondition)
        return
    for word, feeding in cuts(stream):
        assert (identity in fired(everything, feeding)) is vector.fires, word


def test_a_neighbour_fires_nothing_however_it_is_cut(
    core: Pack, neighbour: tuple[SignatureId, Vector]
) -> None:
    """Software that is no miner stays silent however its bytes arrive."""
    for word, feeding in cuts(stream_of(neighbour[1])):
        assert fired(core, feeding) == [], word
