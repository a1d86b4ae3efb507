"""Fixtures of the addons' tests: a mitmdump, and a certificate for the servers behind it."""

import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.addons.mitm import MITMDUMP, SCRIPT, Mitm

from davylamp.lab.programs.certs import Leaf, self_signed

type Start = Callable[..., Mitm]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Give a function that starts a mitmdump with the addons, ended with the test."""
    if not MITMDUMP.exists():
        pytest.skip(f"no mitmdump at {MITMDUMP}: install davylamp[mitmproxy]")
    with ExitStack() as stack:
        numbers = iter(range(100))

        def make(
            *modes: str, options: Sequence[str] = (), scripts: Sequence[Path] = (SCRIPT,)
        ) -> Mitm:
            directory = tmp_path / f"mitm-{next(numbers)}"
            directory.mkdir()
            return stack.enter_context(Mitm(directory, modes, options, scripts))

        yield make


@pytest.fixture(scope="session")
def leaf(tmp_path_factory: pytest.TempPathFactory) -> Leaf:
    """Give a certificate that vouches for itself, as most pools present."""
    return self_signed(tmp_path_factory.mktemp("leaf"), ["localhost", "127.0.0.1"])


@pytest.fixture
def server_tls(leaf: Leaf) -> ssl.SSLContext:
    """Give a server's context with that certificate."""
    return leaf.server_context()
