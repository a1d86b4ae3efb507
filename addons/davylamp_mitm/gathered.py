"""WebSocket messages are gathered within a bound, and in time that grows with their size.

mitmproxy shows a message when its last frame is there, keeps all of it until then, and adds each
piece that arrives to a frame by copying what there is: a peer that announces a frame of a terabyte
would take memory without end, and a processor long before. Its connections are therefore replaced
by ones that hand on whole frames, and that close both ends where a message is too large.
"""

from collections.abc import Generator
from typing import Any

from mitmproxy.proxy.layers import websocket
from wsproto.events import BytesMessage, CloseConnection, Event, Message, TextMessage
from wsproto.frame_protocol import CloseReason

MAX_GATHERED = 16 * 1024 * 1024
"""Bytes of one message, inflated; none of a larger one is sent on."""

_PIECE = 64
"""Bytes that a piece of a message takes besides its own, rounded down."""


class BoundedConnection(websocket.WebsocketConnection):
    """One end of a WebSocket, of which whole frames are seen and no message that is too large."""

    _pieces: list[str | bytes]
    _gathered: int = 0

    def events(self) -> Generator[Event, None, None]:
        """Yield what has come; nothing behind a message that is too large."""
        for event in super().events():
            if not isinstance(event, Message):
                yield event
            elif not self._take(event):
                yield CloseConnection(CloseReason.MESSAGE_TOO_BIG, "stopped by davylamp")
                return
            elif event.frame_finished:
                yield self._frame(event)

    def _take(self, event: Message[Any]) -> bool:
        """Keep a piece of a frame, if there is room for it."""
        if not self._gathered:
            self._pieces = []
        data = event.data
        size = len(data.encode() if isinstance(data, str) else data)
        self._gathered += size + _PIECE
        if self._gathered > MAX_GATHERED:
            self._pieces.clear()
            return False
        self._pieces.append(data if isinstance(data, str) else bytes(data))
        return True

    def _frame(self, event: Message[Any]) -> Event:
        """Return the pieces of a frame as one; its message counts until its last frame."""
        pieces, self._pieces = self._pieces, []
        if event.message_finished:
            self._gathered = 0
        if isinstance(event, TextMessage):
            text = "".join(one for one in pieces if isinstance(one, str))
            return TextMessage(text, message_finished=event.message_finished)
        data = b"".join(one for one in pieces if isinstance(one, bytes))
        return BytesMessage(data, message_finished=event.message_finished)


def bound_messages() -> None:
    """Have mitmproxy gather messages so, from the next WebSocket on."""
    websocket.WebsocketConnection = BoundedConnection  # type: ignore[misc]
