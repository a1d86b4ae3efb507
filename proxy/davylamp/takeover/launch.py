"""A gateway starts its own successor (SIGUSR2), so that whoever supervises it keeps track.

The successor is our child: in the same control group, with the same capabilities, and heard by
systemd once we have named it (``MAINPID=``). It outlives us.
"""

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from davylamp.systemd import inheritance

FLAG = "--take-over"
_OURS = ("WATCHDOG_PID", "LISTEN_PID")
"""What names this very process in the environment that systemd gave it (sd_notify(3))."""

logger = logging.getLogger(__name__)


class Launch:
    """Starts one successor at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Start one, unless there is one already; in the event loop."""
        if self._process is not None:
            logger.warning("a successor is being started already")
            return
        words, descriptors = inheritance(successor_words(sys.orig_argv))
        try:
            # Not asyncio's: that kills its children when the loop ends.
            process = self._process = subprocess.Popen(  # noqa: S603 - our own command line
                words,
                stdin=subprocess.DEVNULL,
                pass_fds=descriptors,
                env=successor_environment(os.environ),
            )
        except OSError as error:
            logger.error("no successor can be started: %s", error)  # noqa: TRY400 - it says why
            return
        logger.info("started a successor (pid %d)", process.pid)
        descriptor = os.pidfd_open(process.pid)
        asyncio.get_running_loop().add_reader(descriptor, self._ended, process, descriptor)

    def _ended(self, process: "subprocess.Popen[bytes]", descriptor: int) -> None:
        """Say that it ended while we are still there."""
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)
        self._process = None
        logger.error("the successor ended (exit %d); this gateway goes on", process.wait())


def successor_words(words: Sequence[str]) -> list[str]:
    """Return the command line of a successor, given our own as it was typed.

    A script is named itself: its first line says which interpreter the new version has.
    """
    chosen = list(words)
    if len(chosen) > 1 and not chosen[1].startswith("-") and os.access(chosen[1], os.X_OK):
        del chosen[0]
    return chosen if FLAG in chosen else [*chosen, FLAG]


def successor_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return a successor's environment, without what is meant for this process alone."""
    return {name: value for name, value in environment.items() if name not in _OURS}
