"""TCP reassembly of one direction: segments in, ordered bytes out.

Strategy. The stream is a line of offsets; offset 0 is the first byte known. Contiguous bytes are
handed out at once and kept for a while (the *history*), so that a retransmission can be held
against what was sent first: first-received wins, and a segment that says otherwise is a conflict,
which the caller must not deliver. Segments ahead of the stream wait in a bounded *pending* list.
Three things make this differ from an end host's reassembly:

- The SYN is not needed. Inline, the kernel queues only packets with payload, so the first segment
  seen may not be the first of the stream. One that starts before the first byte held and touches
  what we hold *rewinds* the stream: the caller inspects again from the new beginning.
- Nothing is skipped inline: a segment that cannot be kept is refused, the caller drops it, and the
  sender's retransmission brings it back. ``skip`` is for captures and samples, which have holes.
- Sequence numbers wrap (RFC 9293 section 3.4); only differences of them are ever compared.
"""

from bisect import insort
from dataclasses import dataclass
from typing import Self

_WRAP = 1 << 32
_HALF = 1 << 31
_SEGMENT_OVERHEAD = 128  # bytes that Python needs for a held segment besides its payload


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Bounds for one direction, in bytes and segments.

    ``history`` covers the longest message that keeps a flow under inspection, so that no byte of
    it can be replaced after it was inspected. ``rewind`` is how far before the first byte seen a
    segment may be and still be of the stream.
    """

    history: int = 144 * 1024
    pending: int = 256 * 1024
    pending_segments: int = 256
    rewind: int = 1024 * 1024

    @property
    def window(self) -> int:
        """How far from the stream, in bytes, a segment may be and still be of its connection."""
        return 4 * self.pending


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one segment did to the stream.

    ``data`` is newly contiguous, starting at ``offset``. ``conflict`` says that some byte was seen
    before with another value; ``refused`` that a bound was met and nothing was kept; ``rewound``
    that ``data`` starts before all earlier deliveries, which are void. ``probe`` is a keep-alive: a
    byte that was sent before, whose value means nothing (RFC 9293 section 3.8.4).
    """

    data: bytes = b""
    offset: int = 0
    conflict: bool = False
    refused: bool = False
    rewound: bool = False
    probe: bool = False


NOTHING = Delivery()
REFUSED = Delivery(refused=True)
CONFLICT = Delivery(conflict=True)
PROBE = Delivery(probe=True)


def distance(seq: int, other: int) -> int:
    """Return how many bytes one sequence number lies ahead of another (negative: behind)."""
    ahead = (seq - other) % _WRAP
    return ahead - _WRAP if ahead >= _HALF else ahead


class Stream:
    """One direction of a TCP connection.

    ``next_seq`` is the sequence number of the first byte not yet handed out, and the exact number
    that a reset to the receiver must carry; ``next_offset`` is where that byte stands. ``anchored``
    says that the first byte is known, because a SYN was seen.
    """

    __slots__ = (
        "_history",
        "_limits",
        "_pending",
        "_start",
        "anchored",
        "next_offset",
        "next_seq",
        "pending_bytes",
    )

    def __init__(self, limits: StreamLimits, next_seq: int, *, anchored: bool = False) -> None:
        self._limits = limits
        self.next_seq = next_seq
        self.next_offset = 0
        self.anchored = anchored
        self.pending_bytes = 0
        self._start = 0  # offset of the first byte since the last hole that was given up
        self._history = bytearray()
        self._pending: list[tuple[int, bytes]] = []

    @classmethod
    def begun(cls, limits: StreamLimits, seq: int, payload: bytes, *, anchored: bool) -> Self:
        """Return a stream that has handed out one first segment."""
        stream = cls(limits, seq, anchored=anchored)
        stream._deliver(payload)
        return stream

    @property
    def held(self) -> int:
        """Bytes of memory that the stream's buffers hold."""
        return len(self._history) + self.pending_bytes + _SEGMENT_OVERHEAD * len(self._pending)

    @property
    def waiting(self) -> bool:
        """True while segments ahead of a hole are held."""
        return bool(self._pending)

    @property
    def first_seq(self) -> int:
        """The sequence number of the first byte seen."""
        return (self.next_seq - self.next_offset) % _WRAP

    @property
    def history(self) -> tuple[int, bytes]:
        """The bytes handed out that are still held, and the first one's sequence number."""
        held = bytes(self._history)
        return (self.next_seq - len(held)) % _WRAP, held

    def distance(self, seq: int) -> int:
        """Return how many bytes ``seq`` lies ahead of the stream (negative: behind)."""
        return distance(seq, self.next_seq)

    def receive(self, seq: int, payload: bytes) -> Delivery:
        """Take one segment's payload (not empty) and return what became contiguous."""
        if seq == self.next_seq and not self._pending:
            return self._deliver(payload)
        start = self.next_offset + self.distance(seq)
        if start > self.next_offset:
            return self._hold(start, payload)
        if start < self._start:
            return self._before_start(start, payload)
        if self._conflicts(start, payload) or self._conflicts_pending(start, payload):
            is_probe = len(payload) == 1 and start == self.next_offset - 1
            return PROBE if is_probe else CONFLICT
        fresh = payload[self.next_offset - start :]
        return self._deliver(self._joined(fresh)) if fresh else NOTHING

    def skip(self, seq: int) -> tuple[int, bytes]:
        """Give up the bytes before ``seq``.

        Return how many never came (0: none were missing), and what was held from there on.
        """
        ahead = self.distance(seq)
        if ahead <= 0:
            return 0, b""
        self._move_to(self.next_offset + ahead)
        kept = [(at, part) for at, part in self._pending if at + len(part) > self.next_offset]
        self._pending = kept
        self.pending_bytes = sum(len(part) for _, part in kept)
        if not kept or kept[0][0] > self.next_offset:
            return ahead, b""
        return ahead, self._deliver(self._joined(b"")).data

    def skip_to_pending(self) -> tuple[int, bytes]:
        """Give up the hole before the first held segment; return its size and what follows it."""
        if not self._pending:
            return 0, b""
        hole = self._pending[0][0] - self.next_offset
        return self.skip((self.next_seq + hole) % _WRAP)

    def _move_to(self, offset: int) -> None:
        """Begin anew at ``offset``: nothing before it is held any more."""
        self.next_seq = (self.next_seq + offset - self.next_offset) % _WRAP
        self.next_offset = self._start = offset
        self._history.clear()

    def _deliver(self, data: bytes) -> Delivery:
        offset = self.next_offset
        self.next_offset = offset + len(data)
        self.next_seq = (self.next_seq + len(data)) % _WRAP
        history, limit = self._history, self._limits.history
        history += data
        if len(history) > limit:
            del history[:-limit]  # a bytearray gives up its front without copying
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
        limits = self._limits
        if (
            self.pending_bytes + len(payload) > limits.pending
            or len(self._pending) >= limits.pending_segments
            or offset - self.next_offset > limits.window
        ):
            return REFUSED
        if self._conflicts_pending(offset, payload):
            return CONFLICT
        if (offset, payload) not in self._pending:
            insort(self._pending, (offset, payload))
            self.pending_bytes += len(payload)
        return NOTHING

    def _before_start(self, start: int, payload: bytes) -> Delivery:
        """Handle bytes before the first one held: a rewind if they touch the held beginning."""
        begins_held = len(self._history) == self.next_offset - self._start
        before = self._start - start
        if self.anchored or before > self._limits.rewind:
            return NOTHING  # older than anything the receiver still waits for
        if not begins_held:
            # What we held is forgotten in part: a hole before it may be filled all the same.
            self._pending, self.pending_bytes = [], 0
            return self._begin_at(start, payload)
        held = bytes(self._history)
        if before > len(payload):
            # Still a hole between: start anew at the lower segment, what we held is ahead of it.
            limits, more = self._limits, len(self._pending) + 1
            full = self.pending_bytes + len(held) > limits.pending
            if self._pending and (full or more > limits.pending_segments):
                return REFUSED
            lead, ahead = payload, [(self._start, held)] if held else []
        else:
            overlap = payload[before:]
            shared = min(len(overlap), len(held))
            if overlap[:shared] != held[:shared] or self._conflicts_pending(start, payload):
                return CONFLICT
            lead, ahead = payload + held[shared:], []
        self._pending = ahead + self._pending
        self.pending_bytes += sum(len(part) for _, part in ahead)
        return self._begin_at(start, lead)

    def _begin_at(self, start: int, lead: bytes) -> Delivery:
        """Begin anew with ``lead`` at a lower offset; what is pending may follow it."""
        self._move_to(start)
        if start < 0:  # offsets count from the first byte seen, which is now this one
            self.next_offset = self._start = 0
            self._pending = [(offset - start, part) for offset, part in self._pending]
        delivery = self._deliver(self._joined(lead))
        return Delivery(delivery.data, delivery.offset, rewound=True)

    def _conflicts(self, start: int, payload: bytes) -> bool:
        """Tell whether ``payload`` contradicts the history (forgotten bytes never do)."""
        first = self.next_offset - len(self._history)
        end = min(start + len(payload), self.next_offset)
        begin = max(start, first)
        if begin >= end:
            return False
        return self._history[begin - first : end - first] != payload[begin - start : end - start]

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
