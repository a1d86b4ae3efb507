"""Fixtures that rooms share: a lab on real namespaces, a real Redis, and real-traffic corpora."""

import contextlib
import itertools
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.dockerd import Dockerd, RefusedError
from tests.dockerd import why_not as why_no_engine
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from davylamp.attribution.place import place_under
from davylamp.attribution.server import EmbeddedRedis, find_server
from davylamp.attribution.store import Store
from davylamp.lab import Lab, LabSpec
from davylamp.lab.lab import take_down
from davylamp.lab.namespaces import why_not
from davylamp.lab.processes import ProcessRef, members
from davylamp.lab.state import LabDirectory, directories

_CHECKOUT = Path(__file__).resolve().parents[1]
_numbers = itertools.count(1)
_GATEWAY, _OPENING = "gateway", "opening"
_GROUPS = {
    "tests/gateway/test_interception": _OPENING,
    "tests/gateway/test_steering": _OPENING,
    "tests/gateway/": _GATEWAY,
    "tests/demo/": _GATEWAY,
    "tests/bench/": _GATEWAY,
}
"""Of the tests whose path begins so; the first that fits."""


def pytest_configure() -> None:
    """Have Ctrl-C mean what it means, also where a shell started us in the background.

    Such a shell has its children ignore SIGINT, and every program that a test starts inherits it.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class GatewaysFirst(LoadScopeScheduling):  # type: ignore[misc]  # which has no types
    """Has one worker run tests with a gateway, one after the other; all else a file at a time.

    What two gateways say of one machine's time, side by side, is about the machine; and a file's
    tests share servers that take seconds to start. Those that are about what a gateway opens, and
    not about when, may be another worker's. Together they take longest, so they are begun first.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((group for path, group in _GROUPS.items() if file.startswith(path)), file)

    def _assign_work_unit(self, node: object) -> None:
        if _GATEWAY in self.workqueue:
            self.workqueue.move_to_end(_GATEWAY, last=False)
        super()._assign_work_unit(node)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> GatewaysFirst:
    """Say how tests are spread over workers."""
    return GatewaysFirst(config, log)


@pytest.fixture(scope="session")
def corpora() -> Path:
    """Give the path of the corpora beside the checkout, or skip."""
    path = _CHECKOUT.parent / "shared" / "corpora"
    if not path.is_dir():
        pytest.skip(f"no corpora at {path}")
    return path


@pytest.fixture(scope="session")
def can_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let a test that builds labs run; skip it, with the reason, where none can be built.

    Labs keep their state in a directory of this test run's own, so that ``lab down --all`` here
    is no one else's business.
    """
    if reason := why_not():
        pytest.skip(reason)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAVYLAMP_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        yield
        # What a failing test left: the next run must not inherit it.
        for directory in directories():
            take_down(directory)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """Run a redis-server that keeps its records over a restart."""
    if find_server() is None:
        pytest.skip("no redis-server is installed")
    with EmbeddedRedis(place_under(tmp_path / "redis")) as running:
        yield running


@pytest.fixture
def store(server: EmbeddedRedis) -> Iterator[Store]:
    """Open the sync store on that server."""
    with Store(server.url) as opened:
        yield opened


@pytest.fixture
def lab_name() -> str:
    """Give a name that no other lab of this test run has."""
    return f"t{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def lab(can_lab: None, lab_name: str) -> Iterator[Lab]:
    """Build a lab of the default shape, three sandboxes and the default zone, for one test."""
    with Lab.create(LabSpec(lab_name)) as built:
        yield built


@dataclass(frozen=True, slots=True)
class Traces:
    """What a lab was, noted while it was up, to show afterwards that none of it is there."""

    directory: Path
    marker: str
    processes: tuple[ProcessRef, ...]

    @classmethod
    def of(cls, path: Path) -> "Traces":
        """Note the lab whose directory this is, whoever built it."""
        directory = LabDirectory(path)
        found: list[ProcessRef] = []
        for pid in directory.processes():
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                found.append(ProcessRef.of(pid))
        assert found, "the lab has no process at all"
        return cls(path, directory.files.name, tuple(found))

    def left(self) -> list[str]:
        """Return what is still there, in words; empty once the lab is gone whole."""
        listings = "".join(
            subprocess.run(argv, capture_output=True, text=True, check=True).stdout
            for argv in (["ip", "netns", "list"], ["ip", "-o", "link"])
        )
        names = (self.directory.name, "br-train", "dl-probe")
        return [
            *(f"process {ref.pid}" for ref in self.processes if ref.alive()),
            *(f"member {pid}" for pid in members(self.marker)),
            *(f"{name} in this network" for name in names if name in listings),
            *([f"directory {self.directory}"] if self.directory.exists() else []),
            *(["a mount"] if self.marker in Path("/proc/self/mountinfo").read_text() else []),
        ]

    def wait_gone(self, seconds: float = 15.0) -> None:
        """Fail unless all of it is gone within the time."""
        deadline = time.monotonic() + seconds
        while (left := self.left()) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert left == []


@pytest.fixture(scope="session")
def dockerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dockerd]:
    """Give a Docker engine for the whole session, or skip with the reason why there is none."""
    if reason := why_no_engine():
        pytest.skip(reason)
    engine = Dockerd(tmp_path_factory.mktemp("dockerd"))
    try:
        try:
            engine.create()
        except RefusedError as error:
            pytest.skip(f"no Docker engine can be run here: {error}")
        yield engine
    finally:
        engine.close()


@pytest.fixture(scope="session")
def note_lab() -> Callable[[Path], Traces]:
    """Note what there is of the lab in a directory; ``left()`` and ``wait_gone()`` check later."""
    return Traces.of
