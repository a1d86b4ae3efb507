"""Several files at once say what one after another says, in the same order, and end cleanly."""

import multiprocessing
import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from davylamp.errors import PackError
from davylamp.events import AlertEvent
from davylamp.paths import SIGNATURES
from davylamp.replay import workers
from davylamp.replay.observe import observers
from davylamp.replay.onefile import Advance, Done, Message
from davylamp.replay.workers import replay_files

SETUP = partial(observers, SIGNATURES / "core")


def told(paths: list[Path], jobs: int) -> list[tuple[int, Message]]:
    """Return all that is said, but for progress."""
    messages = replay_files(paths, SETUP, jobs)
    return [(index, m) for index, m in messages if not isinstance(m, Advance)]


@pytest.fixture
def files(tmp_path: Path, mining: bytes, benign: bytes, two_hundred_miners: bytes) -> list[Path]:
    """Return a dozen files of every kind, a slow one first, some bad."""
    contents = [two_hundred_miners, mining, benign, b"", b"no capture", mining[:-9]] * 2
    paths = []
    for index, content in enumerate(contents):
        path = tmp_path / f"{index}.pcap"
        path.write_bytes(content)
        paths.append(path)
    return [*paths, tmp_path / "missing.pcap"]


@pytest.mark.parametrize("jobs", [2, 5])
def test_same_as_in_turn(files: list[Path], jobs: int) -> None:
    """Any number of jobs says exactly what one says, in the order of the files."""
    alone = told(files, 1)
    assert [index for index, message in alone if isinstance(message, Done)] == list(range(13))
    assert sum(isinstance(message, AlertEvent) for _, message in alone) > 800
    assert told(files, jobs) == alone


def test_later_files_wait(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """When too much waits for an earlier file, later files are held back and nothing is lost."""
    alone = told(files, 1)
    monkeypatch.setattr(workers, "MAX_WAITING", 3)
    assert told(files, 3) == alone


def test_bad_pack(files: list[Path], tmp_path: Path) -> None:
    """An error in what every worker needs is raised here as itself."""
    (tmp_path / "empty").mkdir()
    setup = partial(observers, tmp_path / "empty")
    with pytest.raises(PackError, match=r"no pack\.yaml in it"):
        list(replay_files(files, setup, 2))
    with pytest.raises(PackError, match=r"no pack\.yaml in it"):
        list(replay_files(files, setup, 1))


def test_abandoned(files: list[Path]) -> None:
    """Closing the iterator ends the workers."""
    before = set(multiprocessing.active_children())
    messages = iter(replay_files(files, SETUP, 2))
    next(messages)
    assert len(set(multiprocessing.active_children()) - before) == 2
    messages.close()  # type: ignore[attr-defined]
    assert set(multiprocessing.active_children()) <= before


def test_a_worker_dies(tmp_path: Path, mining: bytes) -> None:
    """A worker that is killed costs its file, named; the other files are read."""
    pipe = tmp_path / "pipe.pcap"  # opening it waits for a writer, so the worker is surely in it
    os.mkfifo(pipe)
    path = tmp_path / "a.pcap"
    path.write_bytes(mining)
    before = set(multiprocessing.active_children())
    done: dict[int, Done] = {}
    killed = False
    for index, message in replay_files([path, pipe, path, path], SETUP, 2):
        if isinstance(message, Done):
            done[index] = message
        if not killed and index == 0 and isinstance(message, Done):
            # Opening our end returns while the worker is still opening its own.
            with pipe.open("wb"):
                deadline = time.monotonic() + 10
                while not killed and time.monotonic() < deadline:
                    for child in set(multiprocessing.active_children()) - before:
                        assert child.pid is not None
                        if _holds(child.pid, pipe):
                            os.kill(child.pid, signal.SIGKILL)
                            child.join()
                            killed = True
    assert killed
    assert done[1].error == f"{pipe}: the process reading it died (exit code -9)"
    assert [done[index].packets for index in (0, 2, 3)] == [4, 4, 4]


def _holds(pid: int, path: Path) -> bool:
    fds = Path(f"/proc/{pid}/fd")
    return any(fd.exists() and fd.samefile(path) for fd in fds.iterdir())
