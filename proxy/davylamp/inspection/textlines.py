"""Lines of text against the pack's conditions on them.

A line is looked at once, at its line break; of a longer one than `MAX_LINE` nothing is kept.
"""

from davylamp.inspection.reader import Place
from davylamp.signatures.language import MAX_LINE


class TextLines:
    """Cuts one direction into lines and looks each up."""

    __slots__ = ("_line", "_place", "_skipping", "_start")

    def __init__(self, place: Place) -> None:
        self._place = place
        self._line = b""
        self._start = 0  # of the stream, where the unfinished line begins
        self._skipping = False  # in a line that is too long

    @property
    def held(self) -> int:
        """Bytes of the unfinished line."""
        return len(self._line)

    def receive(self, data: bytes, offset: int) -> None:
        """Take more of the stream."""
        at = 0
        while (newline := data.find(b"\n", at)) >= 0:
            if not self._skipping and len(self._line) + newline - at <= MAX_LINE:
                start = self._start if self._line else offset + at
                self._judge((self._line + data[at:newline]).removesuffix(b"\r"), start)
            self._line = b""
            self._skipping = False
            at = newline + 1
        rest = data[at:]
        if not rest or self._skipping:
            return
        if len(self._line) + len(rest) > MAX_LINE:
            self._line = b""
            self._skipping = True
            return
        if not self._line:
            self._start = offset + at
        self._line += rest

    def _judge(self, line: bytes, start: int) -> None:
        place, context = self._place, self._place.context
        if found := context.pack.lines.match(line, place.direction):
            context.met(found, place.direction, start, line, place.layers)
