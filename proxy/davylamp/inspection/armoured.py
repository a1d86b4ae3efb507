"""Lines that may be JSON in base64 or under a single-byte exclusive or.

The stream is searched as it stands all the same: what looks like armour may be none. What comes
out of the armour is read as messages and nothing else, so that decoded text is not searched for
quotations.

Under exclusive or, byte for byte, evidence stands where it does in the stream. In base64 it is
given the line that it stands on, or began on.
"""

from davylamp.inspection.jsonlines import JsonLines
from davylamp.inspection.reader import Inner, Place
from davylamp.inspection.wire.armour import Armour, Unarmourer

_BASE64_STARTS = frozenset(b"eWICD7")
"""The first digit of anything that begins as JSON does, a byte-order mark or white space first."""

_BLANKS = b" \t\r\n"
_STEPS = frozenset(
    first ^ second
    for first, follow in (
        (0x7B, b'"' + _BLANKS),
        (0x5B, b"{" + _BLANKS),
        (0xEF, b"\xbb"),
        *((blank, b"{[" + _BLANKS) for blank in _BLANKS),
    )
    for second in follow
)
"""What exclusive or cannot hide: how the first two bytes of what JSON begins with differ."""


def may_be_armoured(data: bytes) -> bool:
    """Tell cheaply whether a stream that begins so is worth unwrapping; yes for a single byte."""
    return len(data) < 2 or data[0] in _BASE64_STARTS or data[0] ^ data[1] in _STEPS


class ArmouredLines:
    """Reads one direction's lines, and what they are armour of, if they are."""

    __slots__ = (
        "_base",
        "_context",
        "_decoded",
        "_digits",
        "_inside",
        "_line",
        "_place",
        "_plain",
        "_seen",
        "_start",
        "_unarmourer",
    )
    inner = Inner.NONE

    def __init__(self, place: Place) -> None:
        self._place = place
        self._plain = JsonLines(place)
        self._unarmourer: Unarmourer | None = Unarmourer()
        self._context = place.context.carried()
        self._inside: JsonLines | None = None  # what reads what came out of it
        self._seen = False
        self._base = 0  # of the stream, where the armour begins
        self._decoded = 0  # bytes that came out of it
        self._line = 0  # of the stream, where the present line of base64 begins
        self._digits = 0  # of what came out, the same place
        self._start = 0  # of the stream, where the line begins on which a message began

    @property
    def settled(self) -> bool:
        """Whether the depth was searched."""
        return self._plain.settled

    @property
    def partial(self) -> bool:
        """Whether a message has begun and not ended, in armour or without."""
        return self._plain.partial or (self._inside is not None and self._inside.partial)

    @property
    def held(self) -> int:
        """Bytes of unfinished messages and digits."""
        inside = self._inside.held if self._inside is not None else 0
        armour = self._unarmourer.held if self._unarmourer is not None else 0
        return self._plain.held + inside + armour

    def receive(self, data: bytes, offset: int) -> None:
        """Search more bytes of the stream."""
        if not self._seen:
            self._seen = True
            self._base = self._line = offset
        self._plain.receive(data, offset)
        unarmourer = self._unarmourer
        if unarmourer is None:
            return
        at = offset
        for line in data.splitlines(keepends=True) if unarmourer.key == 0 else [data]:
            self._unwrap(unarmourer, line, at)
            at += len(line)
        if unarmourer.done:
            self._unarmourer = self._inside = None

    def _unwrap(self, unarmourer: Unarmourer, data: bytes, offset: int) -> None:
        """Unwrap bytes of one line at most, or of a stream under exclusive or."""
        found = unarmourer.feed(data)
        if found is not None:
            if self._inside is None:
                self._inside = JsonLines(self._place_inside(found.kind))
            if found.kind is Armour.XOR:
                self._inside.receive(found.data, self._base + found.offset)
                self._place.context.adopt(self._context)
            else:
                self._read_line(self._inside, found.data)
        if data[-1] == 0x0A:
            self._line = offset + len(data)
            self._digits = self._decoded

    def _read_line(self, inside: JsonLines, plain: bytes) -> None:
        if not inside.partial:
            self._start = self._line
        inside.receive(plain, self._decoded)
        self._decoded += len(plain)
        context = self._context
        if context.findings:
            digits = max(found.end for found in context.findings) - self._digits
            self._place.context.adopt(context, (self._start, self._line + 4 * -(-digits // 3)))

    def _place_inside(self, kind: Armour) -> Place:
        place = self._place
        layers = (*place.layers, kind.value)
        return Place(self._context, place.direction, layers, place.depth, strict=True)
