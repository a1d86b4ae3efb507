"""The gateway at work, when another comes to take its place."""

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol

from davylamp.errors import KernelError
from davylamp.takeover.words import LINE_LIMIT, Here, Message, Word, decode, encode

SWAP_SECONDS = 60.0
"""How long the other may take to put its rules in; two programs, each of which has 20 s."""
_ATTEMPTS = 5
_PAUSE_SECONDS = 1.0

logger = logging.getLogger(__name__)


class Rules(Protocol):
    """What a takeover asks of this gateway's rules (`davylamp.enforcement.kernel`)."""

    @property
    def layout(self) -> str:
        """What two rulesets must have in common for one to renew the other."""
        raise NotImplementedError

    def apply(self) -> None:
        """Put the ruleset in force."""

    def renew(self) -> None:
        """Put it in force over another of the same layout."""

    def leave(self) -> None:
        """Write nothing more into the chains."""

    def reclaim(self) -> None:
        """Have whoever watches over the ruleset put it in force again."""


class HandingOver:
    """Waits for a successor; ``on_taken`` is called once it is the gateway, and we are to end."""

    def __init__(
        self, path: Path, here: Here, rules: Rules, on_taken: Callable[[int], None]
    ) -> None:
        self.taken = False
        """Whether another gateway has our place."""
        self._path = path
        self._here = here
        self._rules = rules
        self._on_taken = on_taken
        self._writer: asyncio.StreamWriter | None = None
        self._swap = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen while entered; where that cannot be, say so, and be without."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.unlink(missing_ok=True)
            server = await asyncio.start_unix_server(self._meet, self._path, limit=LINE_LIMIT)
        except OSError as error:
            logger.warning("nobody can take over from this gateway: %s: %s", self._path, error)
            yield
            return
        self._path.chmod(0o600)
        try:
            yield
        finally:
            server.close()
            self._path.unlink(missing_ok=True)
            async with self._swap:  # whose rules are in force must be known before we end
                if not self.taken:
                    self.release()

    def release(self) -> None:
        """Tell the successor, if there is one, that nothing is ours any more."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        if self.taken:
            writer.write(encode(Word.RELEASED))
        writer.close()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._writer is not None:
            writer.close()
            return
        self._writer = writer
        try:
            await self._agree(reader, writer)
        except ConnectionError as error:
            logger.info("no takeover: %s", error)
        finally:
            if not self.taken:
                writer.close()
                self._writer = None

    async def _agree(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _hear(reader, Word.HELLO)
        writer.write(encode(Word.HERE, self._here))
        successor = (await _hear(reader, Word.SWAP)).here
        async with self._swap:
            self._rules.leave()
            writer.write(encode(Word.GO))
            try:
                async with asyncio.timeout(SWAP_SECONDS):
                    await _hear(reader, Word.TAKEN)
            except OSError as error:  # it went away, said something else, or nothing in time
                writer.transport.abort()
                logger.error("the takeover broke off, this gateway goes on: %s", error)  # noqa: TRY400
                await self._return(successor)
                return
            self.taken = True
        writer.write(encode(Word.ENDING))
        self._on_taken(pid_of(writer.get_extra_info("socket")))

    async def _return(self, successor: Here | None) -> None:
        """Put our rules in force again, whatever the other has done to them."""
        same = successor is not None and successor.layout == self._rules.layout
        for _ in range(_ATTEMPTS):
            try:
                await asyncio.to_thread(self._rules.renew if same else self._rules.apply)
            except KernelError:
                logger.exception("the rules are not back in force")
                same = False
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                return
        self._rules.reclaim()


async def _hear(reader: asyncio.StreamReader, wanted: Word) -> Message:
    try:
        line = await reader.readline()
    except ValueError as error:  # a line that is too long
        raise ConnectionError(str(error)) from error
    return decode(line, wanted)


def pid_of(end: socket.socket) -> int:
    """Return the process at the other end, 0 where it cannot be seen from here (unix(7))."""
    size = struct.calcsize("3i")
    pid, _, _ = struct.unpack("3i", end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(pid)
