"""What is left of a lab after a crash: its maker's, a holder's, or one half way through."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from davylamp.errors import KernelError
from davylamp.lab import Lab, LabSpec
from davylamp.lab.lab import take_down
from davylamp.lab.state import LabDirectory

pytestmark = pytest.mark.lab

type Starter = Callable[..., "subprocess.Popen[str]"]
type Noter = Callable[[Path], Any]

_MAKE = """
import sys, time
from davylamp.lab import Lab, LabSpec
lab = Lab.create(LabSpec(sys.argv[1]))
lab.spawn("sandbox-1", ["sleep", "1000"])
deaf = "trap '' TERM HUP INT; echo ready; while :; do sleep 1; done"
loose = lab.popen("outside", ["setsid", "sh", "-c", deaf], stdout=-1)
loose.stdout.readline()
if "keep" in sys.argv:
    lab.keep()
print(lab.directory, flush=True)
time.sleep(1000)
"""


def made(python: Starter, *arguments: str) -> tuple["subprocess.Popen[str]", LabDirectory]:
    """Have another process make a lab; returns when it stands and programs run in it."""
    maker = python("-c", _MAKE, *arguments)
    assert maker.stdout is not None
    return maker, LabDirectory(Path(maker.stdout.readline().strip()))


def test_a_killed_maker_takes_its_lab_with_it(
    python: Starter, lab_name: str, note_lab: Noter
) -> None:
    """A maker killed with KILL leaves nothing: the lab ends itself, deaf processes included."""
    maker, directory = made(python, lab_name)
    traces = note_lab(directory.path)
    maker.kill()
    traces.wait_gone()


def test_a_kept_lab_outlives_its_maker(python: Starter, lab_name: str, note_lab: Noter) -> None:
    """A kept lab works on after its maker was killed, until it is taken down from elsewhere."""
    maker, directory = made(python, lab_name, "keep")
    maker.kill()
    maker.wait()
    lab = Lab.open(lab_name)
    found = lab.run("sandbox-2", ["getent", "hosts", "pool.example"], capture_output=True)
    assert b"2001:db8::10" in found.stdout
    traces = note_lab(directory.path)
    take_down(directory)
    assert traces.left() == []


@pytest.mark.parametrize(
    ("lost", "state"),
    [
        (["gateway"], "whole"),
        (["sandbox-1", "outside"], "damaged"),
        (None, "whole"),
        (None, "missing"),
    ],
)
def test_down_after_killed_holders(
    python: Starter, lab_name: str, note_lab: Noter, lost: list[str] | None, state: str
) -> None:
    """With holders killed, or all of them, and the state file lost, down still finds the rest."""
    maker, directory = made(python, lab_name, "keep")
    traces = note_lab(directory.path)
    written = directory.load()
    assert written is not None
    maker.kill()
    for host in written.hosts:
        if lost is None or host.name in lost:
            os.kill(host.holder.pid, signal.SIGKILL)
    if state == "damaged":
        (directory.path / "state.json").write_text("{")
    elif state == "missing":
        (directory.path / "state.json").unlink()
    assert traces.left()
    take_down(directory)
    assert traces.left() == []


def broken_ip(where: Path, then: str) -> str:
    """Put an ``ip`` in ``where`` that does ``then`` once wiring begins; returns a PATH with it."""
    real = subprocess.run(["sh", "-c", "command -v ip"], capture_output=True, text=True, check=True)
    program = where / "ip"
    program.write_text(
        f'#!/bin/sh\n[ "$1" != -batch ] || {{ {then}; }}\nexec {real.stdout.strip()} "$@"\n'
    )
    program.chmod(0o755)
    return f"{where}:{os.environ['PATH']}"


def test_a_maker_killed_half_way_leaves_nothing(
    python: Starter, lab_name: str, note_lab: Noter, tmp_path: Path
) -> None:
    """Killed between making the namespaces and wiring them, a maker leaves nothing either."""
    path = broken_ip(tmp_path, f"touch {tmp_path}/reached; exec sleep 1000")
    maker = python("-c", _MAKE, lab_name, PATH=path)
    deadline = time.monotonic() + 20
    while not (tmp_path / "reached").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    directory = Path(os.environ["DAVYLAMP_RUNTIME_DIR"]) / "labs" / lab_name
    assert json.loads((directory / "state.json").read_text())["kept"] is False
    traces = note_lab(directory)
    maker.kill()
    traces.wait_gone()


@pytest.mark.parametrize("pause", [0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15])
def test_a_maker_killed_at_any_time_leaves_nothing(
    python: Starter, lab_name: str, pause: float
) -> None:
    """Whenever in the building a maker is killed, down clears what is there, down to the name."""
    root = Path(os.environ["DAVYLAMP_RUNTIME_DIR"]) / "labs"
    maker = python("-c", _MAKE, lab_name)
    while not (root / lab_name).exists():
        assert maker.poll() is None
    time.sleep(pause)
    maker.kill()
    directory = LabDirectory(root / lab_name)
    markers = [path.name for path in directory.path.glob("dl-*")]
    take_down(directory)
    deadline = time.monotonic() + 15
    while any(mentions(marker) for marker in markers) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [mentions(marker) for marker in markers if mentions(marker)] == []
    with Lab.create(LabSpec(lab_name, sandboxes=1)):
        pass


_STORM = """
import sys
from davylamp.lab import Lab, LabSpec
lab = Lab.create(LabSpec(sys.argv[1]))
print(lab.directory, flush=True)
started = []
while True:
    started.append(lab.popen("sandbox-1", ["sleep", "1000"]))
"""


@pytest.mark.parametrize("by", ["the lab itself", "down"])
def test_no_program_slips_in_at_the_end(
    python: Starter, lab_name: str, note_lab: Noter, by: str
) -> None:
    """Programs on their way in while a lab ends are ended too, or do not start."""
    maker = python("-c", _STORM, lab_name)
    assert maker.stdout is not None
    directory = LabDirectory(Path(maker.stdout.readline().strip()))
    traces = note_lab(directory.path)
    time.sleep(0.2)
    if by == "down":
        take_down(directory)
    maker.kill()
    maker.wait()
    traces.wait_gone()
    # Whoever was on the way has arrived by now, were there a way.
    time.sleep(0.5)
    assert traces.left() == []
    assert mentions(traces.marker) == []


def test_a_closed_gate_stops_a_program(can_lab: None, lab_name: str, tmp_path: Path) -> None:
    """A command made up before the lab began to end does not run after."""
    with Lab.create(LabSpec(lab_name)) as lab:
        argv = lab.argv("sandbox-1", ["touch", str(tmp_path / "ran")])
        LabDirectory(lab.directory).close_gate()
        assert subprocess.run(argv, check=False, stderr=subprocess.DEVNULL).returncode == 125
    assert not (tmp_path / "ran").exists()


def mentions(marker: str) -> list[str]:
    """Return the processes with the lab's token in their arguments or mounts."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "mountinfo"):
            try:
                if marker in (process / name).read_text(errors="replace"):
                    found.append(f"{process.name} {name}")
            except OSError:
                continue
    return found


def test_a_step_that_fails_is_explained_and_undone(
    can_lab: None, lab_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a tool fails while building, the error quotes it, and nothing of the lab stays."""
    monkeypatch.setenv("PATH", broken_ip(tmp_path, "echo no such luck >&2; exit 1"))
    with pytest.raises(KernelError, match="no such luck"):
        Lab.create(LabSpec(lab_name))
    root = Path(os.environ["DAVYLAMP_RUNTIME_DIR"]) / "labs"
    assert not (root / lab_name).exists()
