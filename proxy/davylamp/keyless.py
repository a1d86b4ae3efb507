"""One connection's DNS answers without ECH keys, a segment at a time.

Strategy: what has passed cannot be changed any more, so each segment is changed by what the message
that it goes on with began with, and what it became is kept: a segment that is sent again, whole or
in other pieces, becomes the same again. What lies ahead of a hole must wait until that is filled,
and what is older than all that is kept must not pass either, for nothing is known of what message
it belongs to.

The first segment seen is taken to begin a message; where the gateway was not there before, nothing
better is known. One that comes late and belongs right before it is believed to begin a message in
its place: else nobody would ever have it.
"""

from davylamp.inspection.wire.dns_ech import WithoutEch

_KEPT = 1 << 16
"""Bytes of what has passed that are kept for segments that come again: as many as the largest has
that the kernel queues (docs/kernel.md)."""
_WALK = 3_072
"""Bytes of memory that it takes at most to know where in a message a segment ended (measured)."""


class KeylessAnswers:
    """What is known of the answers of one connection to a resolver."""

    __slots__ = ("_earlier", "_next", "_passed", "_stream")

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Take the next segment for the first."""
        self._next: int | None = None  # the sequence number behind all that has passed
        self._earlier = True  # whether bytes may come that belong before all that has passed
        self._passed = bytearray()  # the last bytes as they were let through
        self._stream = WithoutEch()

    @property
    def held(self) -> int:
        """Bytes of memory that is taken, at most 67 KiB."""
        return _WALK + len(self._passed)

    def change(self, start: int, segment: bytes) -> bytes | None:
        """Return a segment that begins at sequence number ``start`` as it may pass, as long.

        None where it may not: what is missing before it comes first, and then TCP sends it again.
        """
        if self._next is None:
            self._next = start
        again = (self._next - start) & 0xFFFFFFFF
        before = again - len(self._passed)
        if before > 0:
            if before > len(segment) or not self._earlier:
                return None
            self._begin_with(segment[:before])
        begin = len(self._passed) - again
        known = bytes(self._passed[begin : begin + len(segment)])
        new = segment[again:]
        if new:
            changed = self._stream.change(new)
            self._passed += changed
            self._next = (start + len(segment)) & 0xFFFFFFFF
            known += changed
        if len(self._passed) > _KEPT:
            del self._passed[:-_KEPT]
            self._earlier = False
        return known

    def _begin_with(self, earlier: bytes) -> None:
        """Read all anew from bytes before those that passed, once: each time costs as much again.

        What has passed stays as it is, but now it is known what it went on with.
        """
        self._earlier = False
        self._stream = WithoutEch()
        self._passed[:0] = self._stream.change(earlier)
        self._stream.change(bytes(self._passed[len(earlier) :]))
