"""Byte streams and message streams under inspection, each by Inspectors of the core.

Strategy. A byte stream goes through one Inspector. Once that is settled the stream may be bulk: a
proxy reads it 64 KiB at a time, and from then on such a piece is looked at only if it begins like a
request, the line that the kernel's rules draw for the gateway (docs/kernel.md). Small pieces are
always looked at, because what miners and pools say is small and may come late.

A message stream has borders of its own, so each message goes through a fresh Inspector: no message
can hide the one behind it. Where a message ends with half a value, what follows is read on from
there as well, since an end that only copies bytes would join them.
"""

from typing import TYPE_CHECKING, Protocol

from davylamp.flow import Direction
from davylamp.inspection.finding import AppProto, Finding
from davylamp.inspection.framing import MAX_MESSAGE
from davylamp_mitm.assay import Assay

if TYPE_CHECKING:
    from davylamp.inspection.inspector import Inspector

BULK = 1200
"""Bytes from which on a piece of a settled stream is taken for a slice of something larger."""

BEGINNINGS = (b"{", b"[", b" ", b"\t", b"\r", b"\n", b"\x0b", b"\x0c", b"POST ")


class Strand(Protocol):
    """Something that inspection remembers between two hooks."""

    @property
    def held(self) -> int:
        """Bytes of memory that its buffers hold."""
        ...

    def give_up(self) -> None:
        """Forget what is held, because a bound was met; what comes next is read afresh."""
        ...


class ByteStrand:
    """One raw TCP stream, both directions."""

    __slots__ = ("_assay", "_inspector", "_settled", "_skipped")

    def __init__(self, assay: Assay) -> None:
        self._assay = assay
        self._inspector = assay.inspector(measured=True)
        self._settled = False
        self._skipped = {Direction.ORIGINATOR: 0, Direction.RESPONDER: 0}

    @property
    def app_proto(self) -> AppProto:
        """What the stream speaks, as far as is known."""
        return self._inspector.app_proto

    @property
    def held(self) -> int:
        """Bytes that the inspection's buffers hold."""
        return self._inspector.held

    @property
    def partial(self) -> bool:
        """Whether what came last is the beginning of a message, or of a stream not yet told."""
        return self._inspector.partial

    def give_up(self) -> None:
        """Begin afresh."""
        self._inspector = self._assay.inspector()
        self._skipped = dict.fromkeys(self._skipped, 0)

    def receive(self, direction: Direction, data: bytes, now: float) -> tuple[Finding, ...]:
        """Take the next bytes of one direction; return what they complete."""
        inspector = self._inspector
        if self._settled and not inspector.partial and _is_bulk(data):
            self._skipped[direction] += len(data)
            return ()
        if skipped := self._skipped[direction]:
            inspector.gap(direction, skipped)
            self._skipped[direction] = 0
        found = inspector.receive(direction, data, now)
        self._settled = self._settled or inspector.settled
        return found


class MessageStrand:
    """One WebSocket connection's messages, both directions."""

    __slots__ = ("_app_proto", "_assay", "_joined")

    def __init__(self, assay: Assay) -> None:
        self._assay = assay
        self._joined: dict[Direction, Inspector] = {}
        self._app_proto = AppProto.UNKNOWN

    @property
    def app_proto(self) -> AppProto:
        """What the last message that could be told was."""
        return self._app_proto

    @property
    def held(self) -> int:
        """Bytes that the inspection's buffers hold."""
        return sum(inspector.held for inspector in self._joined.values())

    def give_up(self) -> None:
        """Forget half values."""
        self._joined.clear()

    def receive(self, direction: Direction, data: bytes, now: float) -> tuple[Finding, ...]:
        """Take one whole message; return what it is, and what it completes."""
        if len(data) > MAX_MESSAGE:  # larger than any message that the core judges
            self._joined.pop(direction, None)
            return ()
        alone = self._assay.inspector()
        found = alone.receive(direction, data, now)
        self._app_proto = alone.app_proto or self._app_proto
        joined = self._joined.get(direction)
        if joined is not None:
            found += joined.receive(direction, data, now)
            if not joined.partial:
                del self._joined[direction]
        elif alone.partial:
            self._joined[direction] = alone
        return found


def _is_bulk(data: bytes) -> bool:
    return len(data) >= BULK and not data.startswith(BEGINNINGS)
