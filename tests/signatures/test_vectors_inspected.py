"""Every vector through the production inspector: whole, byte by byte, and cut at every boundary."""

import pytest

from davylamp.proving.trial import Trial
from davylamp.signatures.model import SignatureId
from davylamp.signatures.pack import Pack
from davylamp.signatures.vectors import Vector


@pytest.fixture(scope="module")
def trial(core: Pack) -> Trial:
    """Return a trial of the core pack."""
    return Trial(core)


def test_an_example_fires_however_it_is_cut(
    trial: Trial, example: tuple[SignatureId, Vector]
) -> None:
    """The same evidence at the same offset, told at the same byte, whatever the segments.

    A segment that holds that byte is the one that tells it; and nothing fires but what the vector
    lists.
    """
    assert trial.judge(*example)[1] == ()


def test_a_neighbour_fires_nothing_however_it_is_cut(
    trial: Trial, neighbour: tuple[SignatureId, Vector]
) -> None:
    """Software that is no miner stays silent however its bytes arrive."""
    assert trial.silent(neighbour[1]) == ()
