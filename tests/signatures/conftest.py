"""The core pack, compiled once, and its vectors as parameters."""

from pathlib import Path

import pytest

from davylamp.paths import SIGNATURES
from davylamp.signatures.disk import load_directory, load_vectors
from davylamp.signatures.pack import Pack

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def core() -> Pack:
    """Return the core pack as a gateway has it."""
    return load_directory(SIGNATURES / "core")


@pytest.fixture(scope="session")
def everything(core: Pack) -> Pack:
    """Return the core pack with its sandbox signatures on."""
    return core.with_sandbox()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give ``example`` each vector of a signature, ``neighbour`` each near miss of the pack."""
    for fixture, folder in (("example", "core"), ("neighbour", "neighbours")):
        if fixture in metafunc.fixturenames:
            found = list(load_vectors(HERE / folder))
            names = [f"{identity}: {vector.name}" for identity, vector in found]
            metafunc.parametrize(fixture, found, ids=names)
