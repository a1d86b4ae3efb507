"""Fixtures over the three namespaces of :mod:`tests.enforcement.wires`."""

import itertools
import os
from collections.abc import Iterator

import pytest
from tests.enforcement.wires import FOUR, SIX, SPEC, Addresses, Gateway, Wire

_numbers = itertools.count(1)


@pytest.fixture
def wire() -> Iterator[Wire]:
    """Make three namespaces for one test, or skip where they cannot be made."""
    if os.geteuid() != 0:
        pytest.skip("needs root; inside `unshare -Urnm` with a tmpfs on /run it runs as well")
    made = Wire(f"dl-kern-{os.getpid()}-{next(_numbers)}")
    try:
        made.build()
    except (RuntimeError, OSError) as error:
        made.destroy()
        pytest.skip(f"network namespaces cannot be made here: {error}")
    try:
        yield made
    finally:
        made.destroy()


@pytest.fixture
def gateway(wire: Wire) -> Iterator[Gateway]:
    """Put a ruleset with few triggers and an early sample in force, and hold its queue."""
    made = Gateway(wire, SPEC)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(params=[FOUR, SIX], ids=["ipv4", "ipv6"])
def ends(request: pytest.FixtureRequest) -> Addresses:
    """Run the test once over IPv4 and once over IPv6."""
    chosen: Addresses = request.param
    return chosen
