"""One mitmproxy worker seen from the gateway: started, listened to, started again when it dies."""

import asyncio
import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from davylamp.interception.records import Record, decode
from davylamp.updates.loading import PackSource
from davylamp.workers.link import LINE_LIMIT
from davylamp.workers.orders import AnswerRecord, Brief, PackOrder
from davylamp.workers.supervised import Supervised

READY_SECONDS = 60.0
_LOGGED_LINES = 50
_LOGGED_SECONDS = 10.0
_LOGGED_CHARACTERS = 1000
"""How much of what it says is logged: strangers have a say in how much that is."""

logger = logging.getLogger(__name__)


class MitmproxyWorker(Supervised):
    """One worker on one port; ``on_record`` is called with it and all it says.

    ``on_change`` is called whenever it begins or ceases to listen.
    """

    def __init__(  # noqa: PLR0913 - what it runs on, and who hears of it
        self,
        number: int,
        port: int,
        *,
        brief: Brief,
        folder: Path,
        on_record: Callable[["MitmproxyWorker", Record], None],
        on_change: Callable[[], None],
    ) -> None:
        super().__init__(f"mitmproxy-{number}")
        self.port = port
        self.listening = False
        self._brief = brief
        self._folder = folder
        self._on_record = on_record
        self._on_change = on_change
        self._writer: asyncio.StreamWriter | None = None

    def answer(self, answer: AnswerRecord) -> None:
        """Answer a question; one that does not listen to its answers gets none."""
        writer = self._writer
        if writer is not None and writer.transport.get_write_buffer_size() < LINE_LIMIT:
            writer.write(msgspec.json.encode(answer) + b"\n")

    def tell(self, order: PackOrder) -> bool:
        """Say an order; False where there is nobody to hear it now."""
        if self._writer is None or not self.listening:
            return False
        self._writer.write(msgspec.json.encode(order) + b"\n")
        return True

    def use(self, source: PackSource) -> None:
        """Begin with this pack from the next start on."""
        self._brief = msgspec.structs.replace(self._brief, pack=source)

    async def _once(self) -> int:
        ours, theirs = socket.socketpair()
        with theirs:
            descriptor = theirs.fileno()
            words = (str(self.port), str(descriptor), str(os.getpid()), str(self._folder))
            process = self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "davylamp.interception",
                *words,
                pass_fds=(descriptor,),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C at the terminal is the gateway's to handle
            )
        assert process.stdout is not None
        log = asyncio.create_task(self._log(process.stdout))
        reader, writer = await asyncio.open_connection(sock=ours, limit=LINE_LIMIT)
        self._writer = writer
        try:
            if not self._stopping:
                writer.write(msgspec.json.encode(self._brief) + b"\n")
                await self._listen(reader)
        finally:
            self._writer = None
            writer.close()
            self._set_listening(now=False)
            # Whatever ended the conversation: a worker that nobody hears must not go on.
            if not self._stopping:
                self._kill()
            code = await process.wait()
            await log
        return code

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        """Take what it says until it ends, says nonsense, or has nothing to say at all."""
        try:
            async with asyncio.timeout(READY_SECONDS) as patience:
                while line := await reader.readline():
                    record = decode(line)
                    patience.reschedule(None)
                    self._set_listening(now=True)
                    self._on_record(self, record)
        except TimeoutError:
            logger.error("%s does not listen after %s s", self.name, READY_SECONDS)  # noqa: TRY400
        except (msgspec.DecodeError, ValueError) as error:
            # What it reads comes from strangers: it may be theirs by now.
            logger.error("%s says what no worker says, and is ended: %s", self.name, error)  # noqa: TRY400
        except ConnectionError:
            pass

    def _set_listening(self, *, now: bool) -> None:
        if now is self.listening:
            return
        self.listening = now
        if now:
            self.ready.set()
        self._on_change()

    async def _log(self, stream: asyncio.StreamReader) -> None:
        """Log its lines, so many in so much time; read them all, or it would wait."""
        until, lines = 0.0, 0
        while piece := await _read_line(stream):
            now = time.monotonic()
            if now > until:
                if lines > _LOGGED_LINES:
                    logger.warning("%s: %d lines left out", self.name, lines - _LOGGED_LINES)
                until, lines = now + _LOGGED_SECONDS, 0
            lines += 1
            text = piece.decode("utf-8", "replace").strip()[:_LOGGED_CHARACTERS]
            if lines <= _LOGGED_LINES and text:
                logger.warning("%s: %s", self.name, text)


async def _read_line(stream: asyncio.StreamReader) -> bytes:
    """Return a line, or as much of it as fits."""
    try:
        return await stream.readuntil()
    except asyncio.IncompleteReadError as end:
        return end.partial
    except asyncio.LimitOverrunError as error:
        return await stream.read(error.consumed or 1)
