"""Lines of text against the pack's conditions on them.

A line is looked at once, at its line break; of a longer one than `MAX_LINE` nothing is kept. Nearly
every line is done with by two look-ups: of its first four bytes, and of its last.
"""

from davylamp.inspection.reader import Place
from davylamp.signatures.language import MAX_LINE, MIN_ANCHOR
from davylamp.signatures.texts import LineIndex


class TextLines:
    """Cuts one direction into lines and looks each up."""

    __slots__ = ("_index", "_line", "_place", "_skipping", "_start")

    def __init__(self, place: Place, index: LineIndex) -> None:
        self._place = place
        self._index = index
        self._line = b""
        self._start = 0  # of the stream, where the unfinished line begins
        self._skipping = False  # in a line that is too long

    @property
    def held(self) -> int:
        """Bytes of the unfinished line."""
        return len(self._line)

    def receive(self, data: bytes, offset: int) -> None:
        """Take more of the stream."""
        *whole, rest = data.split(b"\n")
        index = self._index
        starts, by_end = index.starts, bool(index.ends)
        for line in whole:
            start = offset
            offset += len(line) + 1
            if self._line or self._skipping:
                start = self._start
                line = b"" if self._skipping else self._line + line  # noqa: PLW2901 - its beginning
                self._line = b""
                self._skipping = False
            if line[:MIN_ANCHOR] in starts or (by_end and index.may_match(line)):
                self._judge(line.removesuffix(b"\r"), start)
        if rest and not self._skipping:
            self._keep(rest, offset)

    def _keep(self, rest: bytes, offset: int) -> None:
        if len(self._line) + len(rest) > MAX_LINE + 1:
            self._line = b""
            self._skipping = True
            return
        if not self._line:
            self._start = offset
        self._line += rest

    def _judge(self, line: bytes, start: int) -> None:
        place = self._place
        if len(line) <= MAX_LINE and (found := self._index.match(line, place.direction)):
            place.context.met(found, place.direction, start, line, place.layers)
