"""A process that must run: started again when it dies, ended in good order when told to."""

import asyncio
import contextlib
import logging
import os
import time
from typing import Protocol

from davylamp.errors import KernelError

_STOP_SECONDS = 5.0
_BACKOFF_FIRST = 0.1
_BACKOFF_LAST = 5.0
_STEADY_SECONDS = 60.0
"""One that ran for so long and died is no reason to wait long before the next."""

logger = logging.getLogger(__name__)


class Process(Protocol):
    """What is used of a child process, whoever has started it."""

    @property
    def returncode(self) -> int | None:
        """Its exit status once it has ended."""

    async def wait(self) -> int:
        """Wait until it has ended; return its exit status."""
        ...

    def terminate(self) -> None:
        """Ask it to end; raise ProcessLookupError where it has."""

    def kill(self) -> None:
        """End it; raise ProcessLookupError where it has ended."""


class Supervised:
    """Base of the gateway's child processes; a subclass starts one and listens until its end.

    ``ready`` is set by the subclass once the process is at work for the first time.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.restarts = 0
        self.heard = 0.0
        """When it last reported, on the monotonic clock; stays 0 for one that need not."""
        self.ready = asyncio.Event()
        self._process: Process | None = None
        self._stopping = False

    @property
    def alive(self) -> bool:
        """Whether its process is running now."""
        return self._process is not None and self._process.returncode is None

    async def run(self) -> None:
        """Keep it running until :meth:`stop`; raise KernelError if it cannot ever start."""
        pause = _BACKOFF_FIRST
        while True:
            began = time.monotonic()
            code = await self._tried()
            if not self._stopping:
                if not self.ready.is_set():
                    raise KernelError(f"{self.name} cannot start (exit {code}); see above")
                self.restarts += 1
                logger.error("%s ended (exit %s); starting it again", self.name, code)
                if time.monotonic() - began > _STEADY_SECONDS:
                    pause = _BACKOFF_FIRST
                await asyncio.sleep(pause)
            if self._stopping:  # told so now, or in the pause
                return
            pause = min(pause * 2, _BACKOFF_LAST)

    async def _tried(self) -> int:
        """Start it and hear it to its end; one that the system has no room for has failed."""
        try:
            return await self._once()
        except OSError:
            logger.exception("%s cannot be started", self.name)
            return os.EX_OSERR

    async def stop(self) -> None:
        """End it; kill it if it does not end by itself in time."""
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            self._kill()
            await process.wait()

    def start_again(self) -> None:
        """Kill it; it is started again."""
        self._kill()

    def _kill(self) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()

    async def _once(self) -> int:
        """Start it, keep it in ``_process``, hear it to its end; return its exit status."""
        raise NotImplementedError
