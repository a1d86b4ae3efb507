"""JSON messages in a raw stream: Stratum, CryptoNote, eth-proxy, and everything that is none.

This is also the reader of last resort: bytes that are no other protocol are searched line by line
for messages, up to the depth. A message is judged by its shape alone (the pack's signatures); text
that quotes one inside a larger line or a larger JSON value is not one.
"""

from davylamp.inspection.finding import AppProto
from davylamp.inspection.framing import Framer
from davylamp.inspection.jsontext import read_objects
from davylamp.inspection.reader import Place


class JsonLines:
    """Frames, parses and matches the JSON messages of one direction."""

    __slots__ = ("_framer", "_place", "_seen")

    def __init__(self, place: Place) -> None:
        self._place = place
        self._framer = Framer()
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
        context = self._place.context
        for framed in self._framer.receive(data, offset):
            for message in read_objects(framed.text):
                if context.app_proto is AppProto.UNKNOWN:
                    context.app_proto = AppProto.JSON
                for match in context.pack.match_message(message):
                    context.matched(
                        match,
                        self._place.direction,
                        framed.offset,
                        framed.text,
                        self._place.layers,
                    )
