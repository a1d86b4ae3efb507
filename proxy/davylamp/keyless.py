"""One connection's DNS answers without ECH keys, a segment at a time.

Strategy: what has passed cannot be changed any more, so each segment is changed by what the message
that it goes on with began with, and what it became is kept: a segment that is sent again, whole or
in other pieces, becomes the same again. Behind a hole nothing is known of what a message began
with; the segment is taken to begin with one.
"""

from davylamp.inspection.wire.dns_ech import without_ech_over_tcp

_KEPT = 16_384
"""Bytes of what has passed that are kept for segments that come again."""


class KeylessAnswers:
    """What is known of the answers of one connection to a resolver."""

    __slots__ = ("_begun", "_next", "_passed")

    def __init__(self) -> None:
        self._next: int | None = None  # the sequence number behind all that has passed
        self._begun = b""  # the unfinished message as it came, with its length
        self._passed = b""  # the last bytes as they were let through

    @property
    def held(self) -> int:
        """Bytes that are kept, at most 80 KiB of them."""
        return len(self._begun) + len(self._passed)

    def change(self, start: int, segment: bytes) -> bytes | None:
        """Return a segment that begins at sequence number ``start`` as it is to go on, as long.

        None where it may go on as it is.
        """
        again = 0 if self._next is None else (self._next - start) & 0xFFFFFFFF
        if again > len(self._passed):
            if again < 1 << 31:  # older than what is kept
                changed, _ = without_ech_over_tcp(b"", segment)
                return changed if changed != segment else None
            self._begun = self._passed = b""
            again = 0
        known = self._passed[len(self._passed) - again :][: len(segment)]
        new = segment[again:]
        if new:
            changed, self._begun = without_ech_over_tcp(self._begun, new)
            self._passed = (self._passed + changed)[-_KEPT:]
            self._next = (start + len(segment)) & 0xFFFFFFFF
            known += changed
        return known if known != segment else None
