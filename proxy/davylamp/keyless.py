"""One connection's DNS answers without ECH keys, a segment at a time.

Strategy: what has passed cannot be changed any more, so each segment is changed by what the message
that it goes on with began with, and what it became is kept: a segment that is sent again, whole or
in other pieces, becomes the same again. Behind a hole nothing is known of what a message began
with; the segment is taken to begin with one.
"""

from davylamp.inspection.wire.dns_ech import WithoutEch

_KEPT = 16_384
"""Bytes of what has passed that are kept for segments that come again."""
_WALK = 3_072
"""Bytes of memory that it takes at most to know where in a message a segment ended (measured)."""


class KeylessAnswers:
    """What is known of the answers of one connection to a resolver."""

    __slots__ = ("_next", "_passed", "_stream")

    def __init__(self) -> None:
        self._next: int | None = None  # the sequence number behind all that has passed
        self._passed = bytearray()  # the last bytes as they were let through
        self._stream = WithoutEch()

    @property
    def held(self) -> int:
        """Bytes of memory that is taken, at most 19 KiB."""
        return _WALK + len(self._passed)

    def change(self, start: int, segment: bytes) -> bytes | None:
        """Return a segment that begins at sequence number ``start`` as it is to go on, as long.

        None where it may go on as it is.
        """
        again = 0 if self._next is None else (self._next - start) & 0xFFFFFFFF
        if again > len(self._passed):
            if again < 1 << 31:  # older than what is kept
                changed = WithoutEch().change(segment)
                return changed if changed != segment else None
            self._passed.clear()
            self._stream = WithoutEch()
            again = 0
        begin = len(self._passed) - again
        known = bytes(self._passed[begin : begin + len(segment)])
        new = segment[again:]
        if new:
            changed = self._stream.change(new)
            self._passed += changed
            del self._passed[:-_KEPT]
            self._next = (start + len(segment)) & 0xFFFFFFFF
            known += changed
        return known if known != segment else None
