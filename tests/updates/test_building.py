"""A site's signatures beside the core pack's, in one archive."""

import pytest

from davylamp.errors import PackError
from davylamp.updates.building import beside

CORE = {
    "pack.yaml": b"name: core",
    "toy/toy-hello.yaml": b"the core's",
    "toy/toy-job.yaml": b"the core's",
    "lists/pools.tsv": b"the core's",
    "vectors/toy/toy-hello.yaml": b"the core's",
}


def test_its_own_stand_in_for_those_of_the_same_id() -> None:
    """Wherever either pack has it, with its examples; all else of both is there."""
    own = {
        "pack.yaml": b"name: site",
        "ours/toy-hello.yaml": b"ours",
        "vectors/ours/toy-hello.yaml": b"ours",
    }
    assert beside(CORE, own) == {
        **own,
        "toy/toy-job.yaml": b"the core's",
        "lists/pools.tsv": b"the core's",
    }


def test_two_lists_of_one_name_are_refused() -> None:
    """Neither is dropped for the other."""
    with pytest.raises(PackError, match=r"lists/pools\.tsv: .* rename yours"):
        beside(CORE, {"pack.yaml": b"name: site", "lists/pools.tsv": b"ours"})
