"""What the gateway says: answers to a worker's questions, orders, and its end."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

from davylamp.workers.orders import AnswerRecord, DrainOrder, PackOrder, decode_order

_PATIENCE_SECONDS = 2.0
_PIECE = 1 << 16


class Answers:
    """Reads lines from the gateway's socket, which is not blocking, on mitmproxy's event loop.

    ``ended`` says that the gateway is gone. What comes is the gateway's, and is believed; orders go
    to ``obey``.
    """

    def __init__(self, end: socket.socket, obey: Callable[[PackOrder], None]) -> None:
        self._obey = obey
        self.ended = False
        self._end = end
        self._rest = b""
        self._last = 0
        self._waiting: dict[int, asyncio.Future[bool]] = {}

    def listen(self) -> None:
        """Begin to read; to be called on the loop that asks."""
        asyncio.get_running_loop().add_reader(self._end.fileno(), self._read)

    def expect(self) -> tuple[int, Awaitable[bool]]:
        """Return the number of the next question, and its answer: no, where none comes in time."""
        self._last += 1
        future = self._waiting[self._last] = asyncio.get_running_loop().create_future()
        return self._last, self._patiently(self._last, future)

    async def _patiently(self, number: int, future: asyncio.Future[bool]) -> bool:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await future
        except TimeoutError:
            return False
        finally:
            del self._waiting[number]

    def _read(self) -> None:
        piece = b""
        with contextlib.suppress(BlockingIOError):
            piece = self._end.recv(_PIECE)
            if not piece:
                self.ended = True
                asyncio.get_running_loop().remove_reader(self._end.fileno())
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for answer in map(decode_order, lines):
            match answer:
                case AnswerRecord():
                    future = self._waiting.get(answer.number)
                    if future is not None and not future.done():
                        future.set_result(answer.bound)
                case DrainOrder():
                    pass  # nothing waits in a queue of ours
                case _:
                    self._obey(answer)
