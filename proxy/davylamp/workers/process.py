"""A worker seen from its supervisor: started, listened to, started again when it dies."""

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Callable

import msgspec

from davylamp.config import GatewayConfig
from davylamp.errors import KernelError
from davylamp.events import AnyEvent, decode

_LINE_LIMIT = 1 << 20
_STOP_SECONDS = 5.0
_BACKOFF_FIRST = 0.1
_BACKOFF_LAST = 5.0

logger = logging.getLogger(__name__)


class WorkerProcess:
    """One worker process; ``on_event`` is called with its name and everything it says."""

    def __init__(
        self,
        kind: str,
        number: int,
        config: GatewayConfig,
        on_event: Callable[[str, AnyEvent], None],
    ) -> None:
        self.name = f"{kind}-{number}"
        self.restarts = 0
        self.ready = asyncio.Event()
        self._arguments = (kind, str(number))
        self._config = msgspec.json.encode(config)
        self._on_event = on_event
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False

    async def run(self) -> None:
        """Keep the worker running until :meth:`stop`; raise KernelError if it cannot ever start."""
        pause = _BACKOFF_FIRST
        while True:
            code = await self._once()
            if self._stopping:
                return
            if not self.ready.is_set():
                raise KernelError(f"worker {self.name} cannot start (exit {code}); see above")
            self.restarts += 1
            logger.error("worker %s ended (exit %s); starting it again", self.name, code)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _BACKOFF_LAST)

    async def stop(self) -> None:
        """End the worker; kill it if it does not end by itself in time."""
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _once(self) -> int:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "davylamp.workers",
                *self._arguments,
                str(theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
            )
        reader, writer = await asyncio.open_connection(sock=ours, limit=_LINE_LIMIT)
        writer.write(self._config + b"\n")
        try:
            await self._listen(reader)
        finally:
            writer.close()
        return await self._process.wait()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                try:
                    event = decode(line)
                except msgspec.DecodeError:
                    logger.exception("worker %s said something unreadable", self.name)
                    continue
                self.ready.set()
                self._on_event(self.name, event)
