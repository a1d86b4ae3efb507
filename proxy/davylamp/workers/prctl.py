"""What a process asks the kernel about itself: prctl(2)."""

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36


def tie_to(parent: int) -> bool:
    """Have this process end with its parent, by SIGTERM; False where that is gone already.

    The parent's number is given: 1 is that of a container's first process too.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    return os.getppid() == parent


def name_process(name: str) -> None:
    """Give this process a name for ``ps`` and ``top``, of at most 15 bytes."""
    _prctl(_PR_SET_NAME, name.encode())


def adopt_orphans(*, now: bool = True) -> None:
    """Have what our descendants leave behind become children of ours; or no longer."""
    _prctl(_PR_SET_CHILD_SUBREAPER, int(now))


def _prctl(option: int, value: int | bytes) -> None:
    ctypes.CDLL(None).prctl(option, value)
