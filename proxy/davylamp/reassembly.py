"""TCP reassembly of one direction: segments in, ordered bytes out.

Strategy. The stream is a line of 64-bit offsets; offset 0 is the first byte seen. Contiguous
bytes are handed out at once and kept for a while (the *history*), so that a retransmission can be
held against what was sent first: first-received wins, and a segment that says otherwise is a
conflict, which the caller must not deliver. Segments ahead of the stream wait in a bounded
*pending* list. Three things make this differ from an end host's reassembly:

- The SYN is not needed. Inline, the kernel queues only packets with payload, so the first segment
  seen may not be the first of the stream. One that starts before offset 0 and touches what we hold
  *rewinds* the stream: the caller inspects again from the new beginning.
- Nothing is skipped inline: a segment that cannot be kept is refused, the caller drops it, and the
  sender's retransmission brings it back. ``skip`` is for captures and samples, which have holes.
- Sequence numbers wrap (RFC 9293 section 3.4); only differences of them are ever compared.
"""

from bisect import insort
from dataclasses import dataclass, field

_WRAP = 1 << 32
_HALF = 1 << 31


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Bounds for one direction, in bytes and segments."""

    history: int = 16 * 1024
    pending: int = 256 * 1024
    pending_segments: int = 256
    rewind: int = 64 * 1024


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one segment did to the stream.

    ``data`` is newly contiguous, starting at ``offset``. ``conflict`` says that some byte was seen
    before with another value; ``refused`` that a bound was met and nothing was kept; ``rewound``
    that ``data`` starts the stream anew at offset 0 and earlier deliveries are void.
    """

    data: bytes = b""
    offset: int = 0
    conflict: bool = False
    refused: bool = False
    rewound: bool = False


NOTHING = Delivery()
REFUSED = Delivery(refused=True)
CONFLICT = Delivery(conflict=True)


@dataclass(slots=True)
class Stream:
    """One direction of a TCP connection.

    ``next_seq`` is the sequence number of the first byte not yet handed out, and the exact number
    that a reset to the receiver must carry.
    """

    limits: StreamLimits
    next_seq: int
    next_offset: int = 0
    anchored: bool = False
    """True when offset 0 is known to be the stream's first byte (a SYN was seen)."""
    pending_bytes: int = 0
    _history: list[bytes] = field(default_factory=list)
    _history_bytes: int = 0
    _pending: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def held(self) -> int:
        """Bytes of memory that the stream's buffers hold."""
        return self._history_bytes + self.pending_bytes

    @property
    def waiting(self) -> bool:
        """True while segments ahead of a hole are held."""
        return bool(self._pending)

    def distance(self, seq: int) -> int:
        """Return how many bytes ``seq`` lies ahead of the stream (negative: behind)."""
        ahead = (seq - self.next_seq) % _WRAP
        return ahead - _WRAP if ahead >= _HALF else ahead

    def receive(self, seq: int, payload: bytes) -> Delivery:
        """Take one segment's payload (not empty) and return what became contiguous."""
        if seq == self.next_seq and not self._pending:
            return self._deliver(payload)
        start = self.next_offset + self.distance(seq)
        if start > self.next_offset:
            return self._hold(start, payload)
        if start < 0:
            return self._before_start(start, payload)
        if self._conflicts(start, payload) or self._conflicts_pending(start, payload):
            return CONFLICT
        fresh = payload[self.next_offset - start :]
        return self._deliver(self._joined(fresh)) if fresh else NOTHING

    def skip(self, seq: int) -> int:
        """Give up the bytes before ``seq``; return how many were skipped (0: none were missing)."""
        ahead = self.distance(seq)
        if ahead <= 0:
            return 0
        self._forget_pending()
        self._history.clear()
        self._history_bytes = 0
        self.next_seq = seq % _WRAP
        self.next_offset += ahead
        return ahead

    def skip_to_pending(self) -> tuple[int, bytes]:
        """Give up the hole before the first held segment; return its size and what follows it."""
        if not self._pending:
            return 0, b""
        offset, _ = self._pending[0]
        hole = offset - self.next_offset
        held, self._pending = self._pending, []
        self.skip((self.next_seq + hole) % _WRAP)
        self._pending = held
        self.pending_bytes = sum(len(part) for _, part in held)
        return hole, self._deliver(self._joined(b"")).data

    def _deliver(self, data: bytes) -> Delivery:
        offset = self.next_offset
        self.next_offset = offset + len(data)
        self.next_seq = (self.next_seq + len(data)) % _WRAP
        self._history.append(data)
        self._history_bytes += len(data)
        while len(self._history) > 1 and (
            self._history_bytes - len(self._history[0]) >= self.limits.history
        ):
            self._history_bytes -= len(self._history.pop(0))
        return Delivery(data, offset)

    def _joined(self, data: bytes) -> bytes:
        """Return ``data`` and every held segment that now follows it; first-received wins."""
        parts = [data]
        end = self.next_offset + len(data)
        taken = 0
        for offset, payload in self._pending:
            if offset > end:
                break
            taken += 1
            self.pending_bytes -= len(payload)
            if offset + len(payload) > end:
                parts.append(payload[end - offset :])
                end = offset + len(payload)
        del self._pending[:taken]
        return b"".join(parts)

    def _hold(self, offset: int, payload: bytes) -> Delivery:
        if (
            self.pending_bytes + len(payload) > self.limits.pending
            or len(self._pending) >= self.limits.pending_segments
            or offset - self.next_offset > 4 * self.limits.pending
        ):
            return REFUSED
        if self._conflicts_pending(offset, payload):
            return CONFLICT
        if (offset, payload) not in self._pending:
            insort(self._pending, (offset, payload))
            self.pending_bytes += len(payload)
        return NOTHING

    def _before_start(self, start: int, payload: bytes) -> Delivery:
        """Handle bytes before offset 0: a rewind if they touch the held beginning."""
        begins_held = self._history_bytes == self.next_offset
        if self.anchored or -start > self.limits.rewind or not begins_held:
            return NOTHING  # older than anything the receiver still waits for
        held = b"".join(self._history)
        gap = -start - len(payload)
        if gap > 0:
            # Still a hole between: start anew at the lower segment, what we held is ahead of it.
            again = [(-start, held)]
            lead = payload
        else:
            overlap = payload[-start:]
            shared = min(len(overlap), len(held))
            if overlap[:shared] != held[:shared] or self._conflicts_pending(start, payload):
                return CONFLICT
            again = []
            lead = payload + held[shared:]
        moved = [(offset - start, part) for offset, part in self._pending]
        self.next_seq = (self.next_seq - self.next_offset + start) % _WRAP
        self.next_offset = 0
        self._history.clear()
        self._history_bytes = 0
        self._pending = again + moved
        self.pending_bytes = sum(len(part) for _, part in self._pending)
        delivery = self._deliver(self._joined(lead))
        return Delivery(delivery.data, 0, rewound=True)

    def _conflicts(self, start: int, payload: bytes) -> bool:
        """Tell whether ``payload`` contradicts the history (forgotten bytes never do)."""
        first = self.next_offset - self._history_bytes
        end = min(start + len(payload), self.next_offset)
        begin = max(start, first)
        if begin >= end:
            return False
        held = b"".join(self._history)
        return held[begin - first : end - first] != payload[begin - start : end - start]

    def _conflicts_pending(self, start: int, payload: bytes) -> bool:
        end = start + len(payload)
        for offset, held in self._pending:
            if offset >= end:
                break
            begin, stop = max(start, offset), min(end, offset + len(held))
            if begin < stop and (
                held[begin - offset : stop - offset] != payload[begin - start : stop - start]
            ):
                return True
        return False

    def _forget_pending(self) -> None:
        self._pending.clear()
        self.pending_bytes = 0
