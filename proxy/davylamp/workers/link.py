"""A worker's line to its supervisor: events as JSON lines over a socket pair, never waited for.

Strategy: the worker writes what the socket takes and keeps the rest in a bounded backlog; where
that is full, the oldest event goes and is counted. The verdict has been carried out long before.
The supervisor's side is an ordinary stream, whose end says that the worker is gone.
"""

import socket
from collections import deque

import msgspec

from davylamp.events import Event, encode
from davylamp.workers.orders import AnyOrder, Brief, decode_order

BACKLOG = 10_000
_PIECE = 1 << 16
LINE_LIMIT = 1 << 20
"""Bytes that a line may have; an alert with all its evidence is a hundredth of that."""


class EventLink:
    """The worker's end."""

    __slots__ = ("_backlog", "_capacity", "_heard", "_partial", "_socket", "dropped", "lost")

    def __init__(self, end: socket.socket, capacity: int = BACKLOG) -> None:
        end.setblocking(False)
        self._socket = end
        self._capacity = capacity
        self._backlog: deque[bytes] = deque()
        self._partial = b""
        self._heard = b""
        self.dropped = 0
        self.lost = False
        """True once the supervisor is gone."""

    def send(self, event: Event) -> None:
        """Take an event; it leaves with this call's or a later call's :meth:`flush`."""
        if len(self._backlog) >= self._capacity:
            self._backlog.popleft()
            self.dropped += 1
        self._backlog.append(encode(event) + b"\n")

    def flush(self) -> None:
        """Write as much as the socket takes now."""
        while self._partial or self._backlog:
            line = self._partial or self._backlog.popleft()
            try:
                sent = self._socket.send(line)
            except BlockingIOError:
                self._partial = line
                return
            except OSError:
                self.lost = True
                return
            self._partial = line[sent:]

    def orders(self) -> tuple[AnyOrder, ...]:
        """Return the orders that came; ``lost`` tells after it whether the supervisor is gone.

        What comes is the supervisor's, and is believed.
        """
        try:
            piece = self._socket.recv(_PIECE)
            self.lost = self.lost or not piece
        except BlockingIOError:
            return ()
        except OSError:
            self.lost = True
            return ()
        *lines, self._heard = (self._heard + piece).split(b"\n")
        return tuple(map(decode_order, lines))


def read_brief(end: socket.socket) -> Brief:
    """Read the gateway's first line; raise EOFError where it does not come."""
    line = bytearray()
    while (byte := end.recv(1)) != b"\n":
        if not byte or len(line) > LINE_LIMIT:
            raise EOFError("the gateway ended before it said what to do")
        line += byte
    return msgspec.json.decode(line, type=Brief)
