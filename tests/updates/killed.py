"""Installs an archive and is killed at a step: ``killed.py FOLDER ARCHIVE STEP``."""

import os
import signal
import sys
from pathlib import Path

from davylamp.updates.install import decide, examine, install
from davylamp.updates.state import Step
from davylamp.updates.store import Store

if __name__ == "__main__":
    folder, file, step = sys.argv[1:]

    def kill(reached: Step) -> None:
        """End as a power cut does."""
        if reached == step:
            os.kill(os.getpid(), signal.SIGKILL)

    store = Store(Path(folder), fault=kill)
    decide(store, install(store, examine(store, Path(file).read_bytes())).selection, "update")
