"""JSON messages in a raw stream: Stratum, CryptoNote, eth-proxy, and everything that is none.

This is also the reader of last resort: bytes that are no other protocol are searched line by line
for messages, up to the depth. A message is judged by its shape alone (the pack's signatures); text
that quotes one inside a larger line or a larger JSON value is not one.
"""

from davylamp.inspection.finding import AppProto
from davylamp.inspection.framing import BLANK, MAX_MESSAGE, Framer
from davylamp.inspection.jsontext import JsonObject, read_objects, read_value
from davylamp.inspection.reader import Inner, Place
from davylamp.inspection.textlines import TextLines
from davylamp.signatures.language import MIN_ANCHOR
from davylamp.signatures.texts import LineIndex


class JsonLines:
    """Frames, parses and matches the JSON messages of one direction."""

    __slots__ = ("_framer", "_index", "_lines", "_place", "_seen")
    inner = Inner.NONE

    def __init__(self, place: Place) -> None:
        self._place = place
        self._framer = Framer(strict=True) if place.strict else Framer()
        self._seen = 0
        # What other messages carry is no text of the flow's own.
        own = not place.strict and place.context.outer is None
        self._index = place.context.pack.lines if own else None
        self._lines: TextLines | None = None  # once it cannot be told otherwise

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
        """Bytes of the unfinished message and the unfinished line."""
        lines = self._lines.held if self._lines is not None else 0
        return self._framer.held + lines

    def receive(self, data: bytes, offset: int) -> None:
        """Search more bytes of the stream."""
        if self._index is not None:
            self._read_lines(self._index, data, offset)
        self._seen += len(data)
        if self._framer.between and (text := _one_line(data)):
            # The common case at a third of the cost: what parses whole was framed right.
            objects = read_value(text)
            if objects is not None:
                self._judge(objects, text, offset)
                return
        for framed in self._framer.receive(data, offset):
            self._judge(read_objects(framed.text), framed.text, framed.offset)

    def _read_lines(self, index: LineIndex, data: bytes, offset: int) -> None:
        zero = data.find(b"\0")
        if zero >= 0:  # no text from there on
            data = data[:zero]
            self._index = None
        if self._lines is None:
            size, ends = len(data), index.ends
            if (
                data.find(b"\n") == size - 1 > MIN_ANCHOR
                and data[:MIN_ANCHOR] not in index.starts
                and data[-MIN_ANCHOR - 1 : -1] not in ends
                and data[-MIN_ANCHOR - 2 : -2] not in ends  # before a carriage return
            ):
                return  # one whole line, as nearly always, that `may_match` says no to
            self._lines = TextLines(self._place, index)
        self._lines.receive(data, offset)
        if self._index is None or self._seen > self._place.depth:
            self._lines = self._index = None

    def _judge(self, objects: list[JsonObject], text: bytes, offset: int) -> None:
        place, context = self._place, self._place.context
        for message in objects:
            if context.app_proto is AppProto.UNKNOWN:
                context.app_proto = AppProto.JSON
            for match in context.pack.match_message(message, place.direction):
                context.matched(match, place.direction, offset, text, place.layers)


def _one_line(data: bytes) -> bytes:
    """Return the one line that a segment is, if that may be a JSON message; else nothing."""
    if data[0] not in b"{[" or len(data) > MAX_MESSAGE:
        return b""
    text = data.rstrip(BLANK)
    return text if text[-1] in b"}]" and text.find(b"\n") < 0 else b""
