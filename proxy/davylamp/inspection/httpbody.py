"""One HTTP body that may be JSON: its codings undone as it comes, judged as one value at its end.

A body is never judged line by line: documents, logs and prompts that quote Stratum travel in
bodies all day. What does not begin like JSON is passed over at its first byte, decoded or not.
Inflating has a budget for the whole flow (`Context.afford`); a body beyond it is passed over too.
"""

import re

from davylamp.inspection.finding import AppProto
from davylamp.inspection.framing import BLANK, MAX_MESSAGE
from davylamp.inspection.jsontext import read_objects
from davylamp.inspection.reader import Place
from davylamp.inspection.wire.content import ContentDecoder, content_codings
from davylamp.inspection.wire.http_head import parse_fields

_CODED = re.compile(rb"\ncontent-encoding", re.IGNORECASE)


class JsonBody:
    """Collects one message's body after the other, in one direction."""

    __slots__ = ("_decoder", "_offset", "_passing", "_place", "_text")

    def __init__(self, place: Place) -> None:
        self._place = place
        self._text = b""
        self._offset = 0  # of the stream, of the body's first byte
        self._passing = False  # this body is no JSON, or too long
        self._decoder: ContentDecoder | None = None

    @property
    def held(self) -> int:
        """Bytes that have come of a body that may be JSON."""
        return len(self._text)

    def begin(self, head: bytes) -> None:
        """Note a message's head, which may say that the body is compressed."""
        if _CODED.search(head):
            codings = content_codings(parse_fields(head))
            if codings:
                self._decoder = ContentDecoder(codings, MAX_MESSAGE + 1)
                self._passing = bool(self._decoder.undecodable)
                self._offset = -1

    def add(self, data: bytes, offset: int) -> None:
        """Take more of the body, which stands at ``offset`` of the stream."""
        if self._passing:
            return
        decoder = self._decoder
        if decoder is not None:
            if self._offset < 0:
                self._offset = offset
            data = self._undo(decoder, data)
        if not self._text:
            text = data.lstrip(BLANK)
            if not text:
                return
            if decoder is None:
                self._offset = offset + len(data) - len(text)
            data = text
        self._text += data
        if self._text[0] not in b"{[" or len(self._text) > MAX_MESSAGE:
            self._text = b""
            self._passing = True

    def end(self, offset: int) -> None:
        """Judge the body, which ends before ``offset`` of the stream."""
        self._passing = False
        decoder, self._decoder = self._decoder, None
        if not self._text:
            return
        body, self._text = self._text, b""
        place, context = self._place, self._place.context
        layers = (*place.layers, AppProto.HTTP.value)
        for message in read_objects(body.rstrip(BLANK)):
            for match in context.pack.match_message(message, place.direction):
                end = None if decoder is None else offset
                context.matched(match, place.direction, self._offset, body, layers, end)

    def _undo(self, decoder: ContentDecoder, data: bytes) -> bytes:
        """Inflate bytes, while the flow's budget lasts."""
        context = self._place.context
        if not context.afford(len(data)):
            self._passing = True
            self._text = b""
            return b""
        found = decoder.feed(data)
        context.spend(len(found))
        return found
