r"""Find JSON messages in one direction of a byte stream, without trusting its line breaks.

Strategy. Stratum and its kin send one JSON value per line (``\n``, some ``\r\n``), but receivers
differ in where they cut: most at the newline, some where the value closes. A message is therefore
reported as soon as *either* ends it:

- value framing: a candidate begins at a ``{`` or ``[`` that stands first on its line (after
  white space or a byte-order mark) or right behind the previous value, and ends where its brackets
  close outside strings;
- line framing: inside an unfinished candidate, a line that by itself starts with ``{`` and ends
  with ``}`` (or is in square brackets) is reported at its newline, because a pool that reads lines
  ignores the broken start. What stands behind the last bracket is left out, for some receivers pass
  over it (jansson with JSON_DISABLE_EOF_CHECK, cJSON_Parse); but a comma there tells of a list.

A candidate ends as none where a byte stands outside its strings that no JSON text has there, so
that binary data is not taken for half a message.

A *strict* framer gives up for good at the first line that is no message: inside something that
carries other people's bytes, text that quotes Stratum must not be searched for it.

Each byte is looked at once by a structural scan (quotes, brackets, newlines), so the cost is linear
however the stream is cut. Anything else on a line is passed over to its newline. What is kept is
bounded by ``MAX_MESSAGE``; pools accept lines of up to 102,400 bytes (MoneroOcean's limit). A
candidate that passes the bound is given up, and the line that it was in begins anew.
"""

import re
from dataclasses import dataclass, field

MAX_MESSAGE = 128 * 1024

BLANK = b" \t\r\n\x0b\x0c\xef\xbb\xbf"
"""What may stand before a message: white space, and the bytes of a byte-order mark.

JSON knows no vertical tab and no form feed, but receivers that strip a line before they read it,
as Python's ``strip()`` does, throw them away."""

# Outside strings a JSON text, with all extensions that parsers allow, is printable ASCII; what
# may stand before a message may begin a line here, too.
_OUTSIDE = re.compile(rb'["{}\[\]\n]|[^\t\r\x0b\x0c\x20-\x7e]')
# Inside one a backslash hides the byte behind it, but not a newline: lines end where they end.
_INSIDE = re.compile(rb'["\n]|\\[^\n]')
_CLOSED_BY = {b"{": b"}", b"[": b"]"}


@dataclass(frozen=True, slots=True)
class Framed:
    """A complete candidate message: its bytes, and the stream offset of the first of them."""

    offset: int
    text: bytes

    @property
    def end(self) -> int:
        """Offset one past the byte that completed the message."""
        return self.offset + len(self.text)


@dataclass(slots=True)
class Framer:
    """Cuts one direction's bytes into candidate messages."""

    _buffer: bytearray = field(default_factory=bytearray)
    _offset: int = 0  # stream offset of _buffer[0]
    _scan: int = 0  # index of the first byte not yet scanned
    _line: int = 0  # index where the current line begins
    _depth: int = 0
    _in_string: bool = False
    _skipping: bool = False  # inside a line that cannot be a message
    strict: bool = False
    lost: bool = False
    """Strict, and something else than messages came: nothing is read any more."""

    @property
    def partial(self) -> bool:
        """True while an unfinished candidate is held."""
        return self._depth > 0

    @property
    def between(self) -> bool:
        """True where a message may begin with the next byte."""
        return not self._buffer and not self._skipping

    @property
    def held(self) -> int:
        """Bytes of the unfinished candidate."""
        return len(self._buffer)

    def receive(self, data: bytes, offset: int) -> list[Framed]:
        """Take bytes that continue the stream at ``offset``; return the messages they complete."""
        if self.lost:
            return []
        if not self._buffer:
            self._offset = offset
        self._buffer += data
        found: list[Framed] = []
        while self._advance(found):
            pass
        return found

    def _advance(self, found: list[Framed]) -> bool:
        """Do one step; return False when more bytes are needed."""
        if self._depth:
            return self._scan_candidate(found)
        if self._skipping:
            return self._skip_line()
        return self._begin()

    def _begin(self) -> bool:
        start = len(self._buffer) - len(self._buffer.lstrip(BLANK))
        self._drop(start)
        if not self._buffer:
            return False
        if self._buffer[0] in b"{[":
            self._depth = 1
            self._scan = 1
        else:
            self._skipping = True
        return True

    def _skip_line(self) -> bool:
        if self.strict:
            self.lost = True
            self._drop(len(self._buffer))
            return False
        newline = self._buffer.find(b"\n")
        if newline < 0:
            self._drop(len(self._buffer))
            return False
        self._drop(newline + 1)
        self._skipping = False
        return True

    def _scan_candidate(self, found: list[Framed]) -> bool:
        """Scan to the next event: the value's end, a line's end, or the end of what is here."""
        buffer = self._buffer
        while True:
            pattern = _INSIDE if self._in_string else _OUTSIDE
            hit = pattern.search(buffer, self._scan, MAX_MESSAGE)
            if hit is None:
                # A backslash that ends what is here waits for the byte that it hides.
                hides = self._in_string and self._scan < len(buffer) and buffer.endswith(b"\\")
                self._scan = len(buffer) - hides
                return self._give_up() if len(buffer) >= MAX_MESSAGE else False
            byte = buffer[hit.start()]
            self._scan = hit.end()
            if byte == 0x22:  # a quote
                self._in_string = not self._in_string
            elif byte == 0x5C:
                pass
            elif byte == 0x0A:
                if self._end_of_line(found):
                    return True
            elif byte in b"{[":
                self._depth += 1
            elif byte in b"}]":
                self._depth -= 1
                if self._depth == 0:
                    found.append(Framed(self._offset, bytes(buffer[: self._scan])))
                    self._drop(self._scan)
                    return True
            else:
                self._drop(self._scan)
                self._depth = 0
                self._skipping = True
                return True

    def _end_of_line(self, found: list[Framed]) -> bool:
        """Handle a newline inside a candidate; return True if the candidate ended with it."""
        line = bytes(self._buffer[self._line : self._scan])
        text = line.strip(BLANK)
        if self._line and (bracket := _CLOSED_BY.get(text[:1])):
            end = text.rfind(bracket) + 1
            if end and not text[end:].lstrip(BLANK).startswith(b","):
                offset = self._offset + self._line + line.index(text[:1])
                found.append(Framed(offset, text[:end]))
        self._line = self._scan
        if self._in_string:  # JSON has no raw newline in a string: this was never one value
            self._drop(self._scan)
            self._depth = 0
            self._in_string = False
            self._skipping = self.strict
            return True
        return False

    def _give_up(self) -> bool:
        """Drop a candidate that is too long, but not its current line, which may be a message."""
        self._skipping = not self._line or self.strict
        self._depth = 0
        self._in_string = False
        self._drop(self._line)
        return True

    def _drop(self, count: int) -> None:
        if count:
            del self._buffer[:count]
            self._offset += count
            self._line = self._scan = 0
