"""Which processes belong to a lab, and ending them by pid.

A process is a member while its mount table holds one of the lab's own files, bound over
/etc/resolv.conf when its host was made. The path carries the lab's random token, so membership is
a fact of the process itself: it needs no parent, no pid file and no living holder, and cannot be
mistaken after a crash, as pids and namespace inode numbers can (the kernel uses both again).
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

POLL = 0.01  # seconds between looks at who is left
KILL_WAIT = 5.0  # seconds that killed processes get to disappear


@dataclass(frozen=True, slots=True)
class ProcessRef:
    """A process for certain: its pid, and its start in clock ticks since boot (proc(5), stat)."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> "ProcessRef":
        """Return the reference of a living process; ProcessLookupError where there is none."""
        started = _started(pid)
        if started is None:
            raise ProcessLookupError(f"no process {pid}")
        return cls(pid, started)

    def alive(self) -> bool:
        """Say whether this very process still runs; a zombie does not."""
        return _started(self.pid) == self.started


def members(marker: str, networks: Collection[int] = ()) -> set[int]:
    """Return the pids of the lab's processes, the caller's own never among them.

    ``marker`` is the name of the lab's token directory. ``networks`` are the inodes of its network
    namespaces: those in which a marked process lives take in every process there, so one that
    made itself another root file system is found too.
    """
    text = marker.encode()
    marked_mounts: dict[int, bool] = {}
    nets: dict[int, int] = {}
    marked: set[int] = set()
    for proc in Path("/proc").glob("[0-9]*"):
        pid = int(proc.name)
        try:
            mount = (proc / "ns/mnt").stat().st_ino
            nets[pid] = (proc / "ns/net").stat().st_ino
            if mount not in marked_mounts:
                marked_mounts[mount] = text in (proc / "mountinfo").read_bytes()
        except OSError:
            continue  # gone, a zombie, or another user's
        if marked_mounts[mount]:
            marked.add(pid)
    ours = {nets[pid] for pid in marked} & set(networks)
    return (marked | {pid for pid, net in nets.items() if net in ours}) - {os.getpid()}


def end_all(find: Callable[[], set[int]], grace: float) -> set[int]:
    """End every process that ``find`` finds, TERM first and KILL after ``grace`` seconds.

    Processes born meanwhile are found and ended too. Returns what would not go.
    """
    left = _signal(find, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while left and time.monotonic() < deadline:
        time.sleep(POLL)
        left = find()
    deadline = time.monotonic() + KILL_WAIT
    while left and time.monotonic() < deadline:
        _signal(find, signal.SIGKILL)
        time.sleep(POLL)
        left = find()
    return left


def _signal(find: Callable[[], set[int]], number: signal.Signals) -> set[int]:
    """Signal what ``find`` finds, and return it; a pid that changes hands meanwhile is let be."""
    handles: dict[int, int] = {}
    try:
        for pid in find():
            with contextlib.suppress(ProcessLookupError):
                handles[pid] = os.pidfd_open(pid)
        # A handle fixes who is meant; only a look after that says for certain who it is.
        sure = find() & handles.keys()
        for pid in sure:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handles[pid], number)
        return sure
    finally:
        for handle in handles.values():
            os.close(handle)


def _started(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name in parentheses may hold anything; state is field 3, the start time field 22.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])
