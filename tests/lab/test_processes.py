import os
import signal
import subprocess
from pathlib import Path

import pytest

from davylamp.lab.processes import ProcessRef, end_all, members


def test_a_reference_is_to_one_life_of_a_pid() -> None:
    """A reference holds for its own process, not for a later one with the same pid."""
    me = ProcessRef.of(os.getpid())
    assert me.alive()
    assert not ProcessRef(me.pid, me.started + 1).alive()


def test_a_zombie_is_not_alive() -> None:
    """A process that ended but was not yet waited for counts as gone."""
    with subprocess.Popen(["sleep", "100"]) as process:
        reference = ProcessRef.of(process.pid)
        assert reference.alive()
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not reference.alive()
        with pytest.raises(ProcessLookupError):
            ProcessRef.of(process.pid)


def test_a_network_alone_makes_no_member() -> None:
    """Without a marked process in it, a namespace's inode, which may be reused, says nothing."""
    mine = Path("/proc/self/ns/net").stat().st_ino
    assert members("dl-no-such-lab-0123456789ab", {mine}) == set()


def test_the_deaf_are_killed() -> None:
    """A process that ignores TERM is killed after the grace; a stopped one as well."""
    script = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
    with (
        subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE) as deaf,
        subprocess.Popen(["sleep", "100"]) as stopped,
    ):
        assert deaf.stdout is not None
        deaf.stdout.readline()
        stopped.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, stopped.pid, os.WSTOPPED)
        references = [ProcessRef.of(deaf.pid), ProcessRef.of(stopped.pid)]
        left = end_all(lambda: {ref.pid for ref in references if ref.alive()}, grace=0.1)
        assert left == set()
    assert (deaf.returncode, stopped.returncode) == (-signal.SIGKILL, -signal.SIGKILL)


def test_a_willing_process_is_not_killed() -> None:
    """A process that ends on TERM within the grace decides its own exit status."""
    script = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        reference = ProcessRef.of(process.pid)
        end_all(lambda: {reference.pid} if reference.alive() else set(), grace=20.0)
    assert process.returncode == 5
