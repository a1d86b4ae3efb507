"""One direction of a conversation: who reads it, and what is kept until that is known."""

from davylamp.inspection.declared.exchange import DeclaredValues
from davylamp.inspection.reader import Place, Reader
from davylamp.inspection.readers import LINES
from davylamp.inspection.start import Start
from davylamp.signatures.texts import StartIndex


class Side:
    """One direction: its reader and where that began, or the first bytes until there is one.

    ``inside`` says that it has entered a tunnel, for another conversation to read.
    """

    __slots__ = ("_start", "_starts", "began", "first", "inside", "reader")

    def __init__(self, starts: StartIndex | None) -> None:
        self.reader: Reader | None = None
        self.began = 0
        self.first = b""
        self.inside = False
        self._starts = starts  # until the first bytes were looked at
        self._start: Start | None = None

    @property
    def silent(self) -> bool:
        """Whether nothing was received."""
        return self.reader is None and not self.first and not self.inside

    @property
    def partial(self) -> bool:
        """Whether half a message is held, or too little to tell what it is."""
        return self.reader.partial if self.reader is not None else bool(self.first)

    @property
    def settled(self) -> bool:
        """Whether the reader has seen enough."""
        return self.reader is not None and self.reader.settled

    @property
    def held(self) -> int:
        """Bytes that are held."""
        held = self.reader.held if self.reader is not None else len(self.first)
        return held if self._start is None else held + self._start.held

    @property
    def half_json(self) -> bool:
        """Whether what looks like a JSON message outside any protocol has begun."""
        reader = self.reader
        if type(reader) is DeclaredValues:
            return reader.half_json
        return isinstance(reader, LINES) and reader.partial

    @property
    def looking(self) -> bool:
        """Whether the next bytes may decide a condition on how a direction begins."""
        return self._starts is not None or self._start is not None

    def look(self, place: Place, data: bytes, offset: int) -> None:
        """Try the pack's conditions on how a direction begins; the first time at its first byte."""
        starts, self._starts = self._starts, None
        if starts is not None:
            if not starts.may_begin(data):
                return
            self._start = Start(place.context, starts, place.direction, place.layers)
        if self._start is not None and not self._start.observe(data, offset):
            self._start = None
