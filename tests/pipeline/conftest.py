"""The core pack, compiled once."""

import pytest
from tests.streams import core_pack

from davylamp.signatures.pack import Pack


@pytest.fixture(scope="session")
def core() -> Pack:
    """Return the core pack as a gateway has it."""
    return core_pack()
