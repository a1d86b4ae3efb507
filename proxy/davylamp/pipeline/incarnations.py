"""Which of the connections that were seen on the same ports a packet belongs to.

A connection's incarnation, as RFC 9293 section 3.4.1 has it: ports are used again, and late packets
of the one before may arrive among those of the next.
"""

from davylamp.flow import Direction
from davylamp.flowtable import Flow
from davylamp.packet import SYN, Packet


class Incarnations:
    """Tells them apart by sequence numbers: ``far`` is no place in the same connection, in bytes.

    Of ``sampled`` packets nearly all are missing, so that no number is too far.
    """

    __slots__ = ("_far", "_sampled")

    def __init__(self, far: int, *, sampled: bool) -> None:
        self._far = far
        self._sampled = sampled

    def belongs(self, packet: Packet, flow: Flow, direction: Direction) -> bool:
        """Tell whether a packet can be of this connection, or only of another on its ports."""
        stream = flow.stream(direction)
        if stream is None or self._sampled:
            return True
        if packet.flags & SYN:
            return packet.start == stream.first_seq
        return abs(stream.distance(packet.start)) <= self._far

    def of(self, packet: Packet, flow: Flow, direction: Direction) -> tuple[Flow, Direction] | None:
        """Return which of the connections known a packet belongs to, and its direction there."""
        if self.belongs(packet, flow, direction):
            return flow, direction
        older = flow.older
        if older is None:
            return None
        if older.tuple_key != flow.tuple_key:  # it was opened from the other end
            direction = direction.opposite
        return (older, direction) if self.belongs(packet, older, direction) else None
