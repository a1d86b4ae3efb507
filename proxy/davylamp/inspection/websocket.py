"""WebSocket messages: text that is JSON, or a byte stream in binary messages.

A text message is judged as one JSON value, or as lines that are JSON every one: text that quotes
Stratum travels in messages as it does in HTTP bodies. A value may be cut over a few messages, for a
proxy that forwards a stream as it comes. Binary messages (websockify) are a stream of their own,
given to a nested conversation, in which a line is looked at only if JSON is all there was.

Evidence has the place of the message that completed it.
"""

from typing import Protocol

from davylamp.flow import Direction
from davylamp.inspection.finding import AppProto
from davylamp.inspection.framing import BLANK
from davylamp.inspection.jsontext import MAX_BATCH, JsonObject, read_value
from davylamp.inspection.reader import Inner, Place
from davylamp.inspection.wire.reader import Malformed
from davylamp.inspection.wire.websocket import Deflate, Opcode, WebSocketMessage, WebSocketReader

MAX_PIECES = 32
"""Text messages over which one JSON value may be cut."""

MAX_PENDING = 64 * 1024


class Stream(Protocol):
    """The byte stream that binary messages carry, both directions of it."""

    def receive(self, direction: Direction, data: bytes, span: tuple[int, int]) -> None:
        """Take the bytes of the message that stands at ``span`` of the direction's stream."""
        ...

    def partial(self, direction: Direction) -> bool:
        """Whether a direction holds half a message."""
        ...

    def held(self, direction: Direction) -> int:
        """Bytes that a direction's buffers hold."""
        ...


class WebSocketFrames:
    """Reads one direction's frames."""

    __slots__ = ("_base", "_pending", "_pieces", "_place", "_reader", "_seen", "_stream")
    inner = Inner.NONE

    def __init__(self, place: Place, deflate: Deflate | None, stream: Stream) -> None:
        client = place.direction is Direction.ORIGINATOR
        self._place = place
        self._reader = WebSocketReader(deflate, from_client=client)
        self._stream = stream
        self._base = -1  # of the stream, where the frames begin
        self._seen = 0  # bytes of data frames: a pool's pings may go on before a miner speaks
        self._pending = b""  # text that may be the beginning of a JSON value
        self._pieces = 0  # messages that it is of

    @property
    def settled(self) -> bool:
        """Whether the depth was searched."""
        return self._seen >= self._place.depth

    @property
    def partial(self) -> bool:
        """Whether a message has begun that will be read, or half of one inside it."""
        half = self._reader.partial and not self._reader.skipping
        return half or bool(self._pending) or self._stream.partial(self._place.direction)

    @property
    def held(self) -> int:
        """Bytes of unfinished messages, here and inside."""
        inside = self._stream.held(self._place.direction)
        return self._reader.held + len(self._pending) + inside

    def receive(self, data: bytes, offset: int) -> bytes | None:
        """Take more of the stream; hand back what is no frame, and all behind it."""
        if self._base < 0:
            self._base = offset
            self._place.context.app_proto = AppProto.WEBSOCKET
        self._seen += len(data)
        for found in self._reader.feed(data):
            match found:
                case Malformed():
                    return found.rest
                case WebSocketMessage(opcode=Opcode.TEXT):
                    self._text(found)
                case WebSocketMessage(opcode=Opcode.BINARY) if found.data:
                    span = (self._base + found.offset, self._base + found.end)
                    self._stream.receive(self._place.direction, found.data, span)
                case WebSocketMessage(opcode=Opcode.PING | Opcode.PONG):
                    self._seen -= found.end - found.offset
                case _:
                    pass
        return None

    def _text(self, message: WebSocketMessage) -> None:
        text = message.data.strip(BLANK)
        if not text:
            return
        objects = _objects(text)
        if objects is None and self._pending:
            text = (self._pending + message.data).strip(BLANK)
            objects = _objects(text)
        if objects is None:
            self._wait(message.data)
            return
        self._pending = b""
        self._pieces = 0
        place, context = self._place, self._place.context
        at, end = self._base + message.offset, self._base + message.end
        for one in objects:
            for match in context.pack.match_message(one, place.direction):
                context.matched(match, place.direction, at, text, place.layers, end)

    def _wait(self, data: bytes) -> None:
        """Keep what may be the beginning of a value, or its middle."""
        text = self._pending + (data if self._pending else data.lstrip(BLANK))
        self._pieces += 1
        if text[0] not in b"{[" or len(text) > MAX_PENDING or self._pieces >= MAX_PIECES:
            text = b""
            self._pieces = 0
        self._pending = text


def _objects(text: bytes) -> list[JsonObject] | None:
    """Return the objects of a JSON value, or of lines that are all JSON; None for other text."""
    if text[0] not in b"{[" or text[-1] not in b"}]":
        return None
    objects = read_value(text)
    if objects is not None or b"\n" not in text:
        return objects
    objects = []
    for line in text.split(b"\n", MAX_BATCH):
        if line := line.strip(BLANK):
            found = read_value(line)
            if found is None:
                return None
            objects += found
    return objects
