"""A worker seen from its supervisor: how it is started, and what it says."""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable

import msgspec

from davylamp.events import AnyEvent
from davylamp.updates.loading import PackSource
from davylamp.workers.forked import Zygote
from davylamp.workers.link import LINE_LIMIT
from davylamp.workers.orders import Brief, DrainOrder, PackOrder, PackReply, decode_said
from davylamp.workers.supervised import Supervised

_DRAIN_SECONDS = 10.0
"""A worker judges twenty thousand packets a second, and a queue holds 8,192."""
_NOT_STARTED = os.EX_OSERR

logger = logging.getLogger(__name__)


class WorkerProcess(Supervised):
    """One worker process; ``on_event`` is called with its name and everything it says."""

    def __init__(
        self,
        kind: str,
        number: int,
        brief: Brief,
        zygote: Zygote,
        on_event: Callable[[str, AnyEvent | PackReply], None],
    ) -> None:
        super().__init__(f"{kind}-{number}")
        self._role = kind, number
        self._zygote = zygote
        self._brief = brief
        self._writer: asyncio.StreamWriter | None = None
        self._on_event = on_event

    def tell(self, order: PackOrder) -> bool:
        """Say an order; False where there is nobody to hear it now."""
        if self._writer is None or not self.ready.is_set():
            return False
        self._writer.write(msgspec.json.encode(order) + b"\n")
        return True

    def use(self, source: PackSource) -> None:
        """Begin with this pack from the next start on."""
        self._zygote.use(source)
        self._brief = msgspec.structs.replace(self._brief, pack=source)

    async def drain(self) -> None:
        """Have it end once it has judged all that waits; end it if that takes too long."""
        self._stopping = True
        if self._process is None or self._writer is None or not self.ready.is_set():
            await self.stop()
            return
        self._writer.write(msgspec.json.encode(DrainOrder()) + b"\n")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), _DRAIN_SECONDS)
        await self.stop()

    async def _once(self) -> int:
        forked = await self._zygote.fork(*self._role)
        if forked is None:
            return _NOT_STARTED
        process, line = forked
        self._process = process
        if self._stopping:  # told so while there was nobody to end
            process.terminate()
        reader, writer = await asyncio.open_connection(sock=line, limit=LINE_LIMIT)
        self._writer = writer
        writer.write(msgspec.json.encode(self._brief) + b"\n")
        try:
            await self._listen(reader)
        finally:
            self._writer = None
            writer.close()
        return await process.wait()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                try:
                    event = decode_said(line)
                except msgspec.DecodeError:
                    logger.exception("worker %s said something unreadable", self.name)
                    continue
                self.ready.set()
                self.heard = time.monotonic()
                self._on_event(self.name, event)
