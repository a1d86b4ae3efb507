"""Flows that were put out of memory with half a message delivered.

Their rest must not pass as "a line that is no message": whoever idles, or floods us with halves,
would get any message through. So it is remembered of each how far its two streams had come, which
tells its packets from those of a later connection on the same ports. Whose ports they are now the
kernel mostly says itself: then it is forgotten.
"""

from collections import OrderedDict

from davylamp.packet import Packet, reverse_key
from davylamp.reassembly import distance

type Ends = tuple[int | None, int | None]
"""What is expected next the one way and the other, as sequence numbers; None says any."""

_ANY: Ends = (None, None)


class LostHalves:
    """Such flows by tuple key, the longest lost first; at most ``limit``."""

    __slots__ = ("_ends", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._ends: OrderedDict[bytes, Ends] = OrderedDict()

    def __len__(self) -> int:
        return len(self._ends)

    def add(self, tuple_key: bytes, there: int | None, back: int | None) -> None:
        """Remember a flow; ``there`` is expected next of those who send with its key."""
        back_key = reverse_key(tuple_key)
        ends = (there, back)
        if back_key < tuple_key:
            tuple_key, ends = back_key, (back, there)
        # Two on the same ports are not told apart any more.
        self._ends[tuple_key] = _ANY if tuple_key in self._ends else ends
        self._ends.move_to_end(tuple_key)
        if len(self._ends) > self._limit:
            self._ends.popitem(last=False)

    def forget(self, tuple_key: bytes) -> None:
        """Note that a new connection begins on these ports."""
        self._ends.pop(min(tuple_key, reverse_key(tuple_key)), None)

    def of(self, packet: Packet, far: int) -> Ends | None:
        """Return what is expected next of a packet's sender and receiver, if it is of such a flow.

        ``far``, in bytes, is no place in the same connection.
        """
        key = packet.tuple_key
        back_key = reverse_key(key)
        ends = self._ends.get(min(key, back_key))
        if ends is None:
            return None
        there, back = ends if key <= back_key else ends[::-1]
        near = there is None or abs(distance(packet.start, there)) <= far
        return (there, back) if near else None
