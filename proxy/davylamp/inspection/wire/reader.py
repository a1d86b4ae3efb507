"""What every wire reader shares: the answer "this is not that protocol", and a bounded cursor.

Strategy: a reader is fed bytes in any split and answers with a typed result, with ``None`` (it
needs more) or with `Malformed` (no further byte can help). Nothing a peer sends raises. Inside
a parser, reading past the end raises the built-in EOFError, which never leaves the parser's
public function.

Results are frozen msgspec structs rather than frozen dataclasses: they are just as immutable and
are built five times faster, which is what a packet's budget of some tens of microseconds asks for.
"""

import msgspec


class Malformed(msgspec.Struct, frozen=True):
    """These bytes are not, or are no longer, the protocol that the reader reads.

    ``offset`` counts bytes from the first one fed to the reader to the start of the offending
    element. ``rest`` is that element and what followed it so far, when the reader still has it,
    so that the caller can look at it as something else. ``reason`` is a fixed phrase.
    """

    reason: str
    offset: int = 0
    rest: bytes = b""


class Cursor:
    """A position in a byte string; big-endian reads that raise EOFError past ``end``."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self.data = data
        self.at = at
        self.end = len(data) if end is None else min(end, len(data))

    def take(self, size: int) -> bytes:
        """Return the next ``size`` bytes; raise EOFError when fewer are left."""
        start, stop = self.at, self.at + size
        if size < 0 or stop > self.end:
            raise EOFError
        self.at = stop
        return self.data[start:stop]

    def u8(self) -> int:
        """Return the next byte as a number; raise EOFError at the end."""
        if self.at >= self.end:
            raise EOFError
        self.at += 1
        return self.data[self.at - 1]

    def u16(self) -> int:
        """Return the next two bytes as a number; raise EOFError when fewer are left."""
        return int.from_bytes(self.take(2), "big")

    def u32(self) -> int:
        """Return the next four bytes as a number; raise EOFError when fewer are left."""
        return int.from_bytes(self.take(4), "big")

    def sub(self, size: int) -> "Cursor":
        """Return a cursor over the next ``size`` bytes and step over them.

        It keeps the whole string's offsets, which DNS compression needs.
        """
        start, stop = self.at, self.at + size
        if size < 0 or stop > self.end:
            raise EOFError
        self.at = stop
        return Cursor(self.data, start, stop)

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return self.end - self.at


def printable(raw: bytes) -> str:
    r"""Return bytes as ASCII text in which anything but visible characters is ``\xNN``."""
    text = raw.decode("ascii", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
