"""Server-sent events: one encoding, many clients, none of which can hold up another.

Strategy: each client has a bounded queue. A client whose queue is full is cut off: it reads too
slowly, and will load everything anew when it comes back, which is cheaper than an endless backlog.
"""

import asyncio
from collections import deque
from collections.abc import Callable

import msgspec

from davylamp.events import Struct

CLIENTS = 32
QUEUE = 512
"""Events that may wait for one client."""
QUEUE_BYTES = 4 * 1024 * 1024


def frame(name: str, record: Struct) -> bytes:
    """Return an event as it goes over the wire; JSON has no raw newline that could end it."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(record))


class Subscriber:
    """One client's queue; ``cut`` is called when it is full."""

    def __init__(self, cut: Callable[[], None]) -> None:
        self._cut = cut
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()
        self.ended = False

    def put(self, data: bytes) -> None:
        """Queue a frame, or cut the client off."""
        if self.ended:
            return
        if len(self._frames) >= QUEUE or self._bytes + len(data) > QUEUE_BYTES:
            self.end()
            self._cut()
            return
        self._frames.append(data)
        self._bytes += len(data)
        self._arrived.set()

    def end(self) -> None:
        """Let the reader see that nothing more comes."""
        self.ended = True
        self._frames.clear()
        self._arrived.set()

    async def take(self, seconds: float) -> bytes:
        """Return what waits, in one piece; nothing after that many seconds, or at the end."""
        try:
            async with asyncio.timeout(seconds):
                await self._arrived.wait()
        except TimeoutError:
            return b""
        taken = b"".join(self._frames)
        self._frames.clear()
        self._bytes = 0
        if not self.ended:
            self._arrived.clear()
        return taken


class Hub:
    """Gives what is published to every subscriber."""

    def __init__(self) -> None:
        self._subscribers: set[Subscriber] = set()
        self.cut = 0
        """How many clients were cut off for being slow."""

    def __len__(self) -> int:
        return len(self._subscribers)

    def publish(self, name: str, record: Struct) -> None:
        """Queue an event for everybody who listens."""
        if not self._subscribers:
            return
        data = frame(name, record)
        for one in tuple(self._subscribers):
            one.put(data)
            if one.ended:
                self._subscribers.discard(one)
                self.cut += 1

    def subscribe(self, cut: Callable[[], None]) -> Subscriber | None:
        """Return a new subscriber, None where there are too many."""
        if len(self._subscribers) >= CLIENTS:
            return None
        fresh = Subscriber(cut)
        self._subscribers.add(fresh)
        return fresh

    def leave(self, subscriber: Subscriber) -> None:
        """Forget a subscriber."""
        self._subscribers.discard(subscriber)

    def close(self) -> None:
        """End every stream."""
        for one in self._subscribers:
            one.end()
        self._subscribers.clear()
