"""One direction of a conversation: who reads it, and what is kept until that is known."""

from typing import TYPE_CHECKING

from davylamp.flow import Direction
from davylamp.inspection.context import Context
from davylamp.inspection.declared.exchange import DeclaredValues
from davylamp.inspection.readers import LINES
from davylamp.inspection.start import Start
from davylamp.signatures.texts import StartIndex

if TYPE_CHECKING:
    from davylamp.inspection.reader import Reader


class Side:
    """One direction: its reader and where that began, or the first bytes until there is one.

    ``inside`` says that it has entered a tunnel, for another conversation to read. ``starts`` is
    what the pack asks of first bytes, until there are some, and ``start`` what is asked further.
    """

    __slots__ = ("began", "first", "inside", "reader", "start", "starts")

    def __init__(self, starts: StartIndex | None) -> None:
        self.reader: Reader | None = None
        self.began = 0
        self.first = b""
        self.inside = False
        self.starts = starts  # until the first bytes were looked at
        self.start: Start | None = None

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
        return held if self.start is None else held + self.start.held

    @property
    def half_json(self) -> bool:
        """Whether what looks like a JSON message outside any protocol has begun."""
        reader = self.reader
        if type(reader) is DeclaredValues:
            return reader.half_json
        return isinstance(reader, LINES) and reader.partial

    def begin(
        self, context: Context, direction: Direction, layers: tuple[str, ...], data: bytes
    ) -> None:
        """Note, at a direction's first bytes, whether the pack may ask how it begins."""
        starts, self.starts = self.starts, None
        if starts is not None and starts.may_begin(data):
            self.start = Start(context, starts, direction, layers)

    def look(self, data: bytes, offset: int) -> None:
        """Try the pack's conditions on how a direction begins, while any may be met."""
        if self.start is not None and not self.start.observe(data, offset):
            self.start = None
