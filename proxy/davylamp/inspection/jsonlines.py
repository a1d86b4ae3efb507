"""JSON messages in a raw stream: Stratum, CryptoNote, eth-proxy, and everything that is none.

This is also the reader of last resort: bytes that are no other protocol are searched line by line
for messages, up to the depth. A message is judged by its shape alone (the pack's signatures); text
that quotes one inside a larger line or a larger JSON value is not one.
"""

from davylamp.inspection.finding import AppProto
from davylamp.inspection.framing import BLANK, MAX_MESSAGE, Framer
from davylamp.inspection.jsontext import JsonObject, read_objects, read_value
from davylamp.inspection.reader import Inner, Place


class JsonLines:
    """Frames, parses and matches the JSON messages of one direction."""

    __slots__ = ("_framer", "_place", "_seen")
    inner = Inner.NONE

    def __init__(self, place: Place) -> None:
        self._place = place
        self._framer = Framer(strict=True) if place.strict else Framer()
        self._seen = 0

    @property
    def settled(self) -> bool:
        """Whether the depth was searched without a match."""
        return self._seen >= self._place.depth

    @property
    def partial(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._framer.partial

    @property
    def held(self) -> int:
        """Bytes of the unfinished message."""
        return self._framer.held

    def receive(self, data: bytes, offset: int) -> None:
        """Search more bytes of the stream."""
        self._seen += len(data)
        if self._framer.between and (text := _one_line(data)):
            # The common case at a third of the cost: what parses whole was framed right.
            objects = read_value(text)
            if objects is not None:
                self._judge(objects, text, offset)
                return
        for framed in self._framer.receive(data, offset):
            self._judge(read_objects(framed.text), framed.text, framed.offset)

    def _judge(self, objects: list[JsonObject], text: bytes, offset: int) -> None:
        place, context = self._place, self._place.context
        for message in objects:
            if context.app_proto is AppProto.UNKNOWN:
                context.app_proto = AppProto.JSON
            for match in context.pack.match_message(message):
                context.matched(match, place.direction, offset, text, place.layers)


def _one_line(data: bytes) -> bytes:
    """Return the one line that a segment is, if that may be a JSON message; else nothing."""
    if data[0] not in b"{[" or len(data) > MAX_MESSAGE:
        return b""
    text = data.rstrip(BLANK)
    return text if text[-1] in b"}]" and b"\n" not in text else b""
