"""The hosts for pages' commands, each built once."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest
from tests.docs.shell import Shell
from tests.docs.stages import Host, a_host, a_site, props, remember

from davylamp.lab import Lab, LabSpec

type Stage = Callable[[str, Path], Shell]


@pytest.fixture(scope="session")
def stage(can_lab: None) -> Iterator[Stage]:
    """Give shells by the names that marks have for hosts; an empty name is this machine."""
    with ExitStack() as stack:
        built: dict[str, Host] = {}

        @cache
        def lab() -> Lab:
            return stack.enter_context(Lab.create(LabSpec(f"docs{os.getpid()}", sandboxes=1)))

        def shell(kind: str, directory: Path) -> Shell:
            if not kind:
                labs = os.environ["DAVYLAMP_RUNTIME_DIR"]
                return Shell(directory, {"DAVYLAMP_RUNTIME_DIR": labs})
            if kind not in built:
                built[kind] = stack.enter_context({"host": a_host, "site": a_site}[kind](lab()))
            if kind == "host":
                return built[kind].shell(directory)
            remember(built[kind])
            token = built[kind].root / "lib" / "davylamp" / "api" / "register.token"
            return built[kind].shell(directory, TOKEN=token.read_text().strip())

        yield shell


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """Give a directory with what pages take for given."""
    props(tmp_path)
    return tmp_path
