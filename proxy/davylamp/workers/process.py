"""A worker seen from its supervisor: how it is started, and what it says."""

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import Callable

import msgspec

from davylamp.config import GatewayConfig
from davylamp.events import AnyEvent, decode
from davylamp.workers.link import LINE_LIMIT
from davylamp.workers.supervised import Supervised

logger = logging.getLogger(__name__)


class WorkerProcess(Supervised):
    """One worker process; ``on_event`` is called with its name and everything it says."""

    def __init__(
        self,
        kind: str,
        number: int,
        config: GatewayConfig,
        on_event: Callable[[str, AnyEvent], None],
    ) -> None:
        super().__init__(f"{kind}-{number}")
        self._arguments = (kind, str(number))
        self._config = msgspec.json.encode(config)
        self._on_event = on_event

    async def _once(self) -> int:
        ours, theirs = socket.socketpair()
        with theirs:
            process = self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "davylamp.workers",
                *self._arguments,
                str(theirs.fileno()),
                str(os.getpid()),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
            )
        reader, writer = await asyncio.open_connection(sock=ours, limit=LINE_LIMIT)
        writer.write(self._config + b"\n")
        try:
            await self._listen(reader)
        finally:
            writer.close()
        return await process.wait()

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
