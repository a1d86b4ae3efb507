"""Run a program that dies with its parent: ``python -I -S tether.py PARENT_PID PROGRAM ARGS...``.

A separate program, because the parent may have threads, after whose fork no Python should run.
It imports nothing of davylamp, so that it starts in about ten milliseconds.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2)


def main() -> None:
    """Tie this process to its parent, then become the program."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # it died before we were tied to it
        sys.exit(1)
    os.execv(program[0], program)  # noqa: S606 - the very purpose; no shell is involved


if __name__ == "__main__":
    main()
