"""Stratum V2 in the clear: an event for each message that is conclusive by itself."""

from davylamp.flow import Direction
from davylamp.inspection.finding import AppProto
from davylamp.inspection.reader import Inner, Place
from davylamp.inspection.wire.reader import Malformed
from davylamp.inspection.wire.stratum_v2 import Sv2Message, Sv2Reader

_EVENTS = {
    "SetupConnection": "stratum-v2.setup",
    "OpenStandardMiningChannel": "stratum-v2.open",
    "OpenExtendedMiningChannel": "stratum-v2.open",
    "SubmitSharesStandard": "stratum-v2.share",
    "SubmitSharesExtended": "stratum-v2.share",
    "NewMiningJob": "stratum-v2.job",
    "NewExtendedMiningJob": "stratum-v2.job",
    "SetNewPrevHash": "stratum-v2.job",
}


class StratumV2:
    """Reads one direction's frames; ``matched`` once a conclusive one was among them."""

    __slots__ = ("_base", "_place", "_raw", "_reader", "_seen")
    inner = Inner.NONE

    def __init__(self, place: Place) -> None:
        self._place = place
        self._reader = Sv2Reader(from_client=place.direction is Direction.ORIGINATOR)
        self._raw = b""  # what the reader holds, for the evidence
        self._base = 0
        self._seen = 0

    @property
    def matched(self) -> bool:
        """Whether a conclusive message was read."""
        return self._reader.established

    @property
    def settled(self) -> bool:
        """Whether the depth was searched."""
        return self._seen >= self._place.depth

    @property
    def partial(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self._reader.partial

    @property
    def held(self) -> int:
        """Bytes of the unfinished frame, here and in its reader."""
        return len(self._raw) + self._reader.held

    def receive(self, data: bytes, offset: int) -> bytes | None:
        """Take more of the stream; hand back what is no frame, and all behind it."""
        if not self._seen:
            self._base = offset
        raw = self._raw + data
        start = self._seen - len(self._raw)  # of raw, in what the reader counts
        self._seen += len(data)
        for found in self._reader.feed(data):
            if isinstance(found, Malformed):
                return found.rest
            self._report(found, raw[found.offset - start : found.end - start])
        self._raw = raw[len(raw) - self._reader.held :]
        return None

    def _report(self, message: Sv2Message, text: bytes) -> None:
        event = _EVENTS.get(message.name)
        if event is None or not message.conclusive:
            return
        place, context = self._place, self._place.context
        context.app_proto = AppProto.STRATUM_V2
        purpose = f" for {message.protocol}" if message.protocol else ""
        context.noticed(
            event,
            place.direction,
            self._base + message.offset,
            text,
            (*place.layers, AppProto.STRATUM_V2.value),
            detail=f"Stratum V2 message {message.name}{purpose}",
        )
