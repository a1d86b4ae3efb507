"""What is remembered of flows that the kernel has: enough to know what comes back of them.

The kernel brings a packet of a cleared flow back when its first bytes could begin a request, and
takes the whole flow back with it until that packet is judged (docs/kernel.md). Four kinds of
packets come of it, and none of them says which it is:

- the beginning of a message, which must be judged;
- a slice of an HTTP body that happens to begin like one. Bodies quote Stratum: prompts, logs, pull
  requests. While nothing has come back since the body began it is no conversation. What a server
  sends on such a connection is an answer: a pool's part means nothing without a miner's;
- the answer that ends HTTP: both sides speak another protocol from there on, which is to be read as
  that of a new connection is;
- a packet that was in the queue when the verdict was given, which has no mark: taken for a flow's
  first bytes, the middle of a body would be read as if it were a conversation. Another connection
  on the same ports may look like it; where the kernel knows how connections begin, it says so.
"""

from collections import OrderedDict
from enum import StrEnum

from davylamp.inspection.armoured import may_be_armoured
from davylamp.inspection.identify import Opening, identify
from davylamp.inspection.wire.http_head import FOLLOWED, SWITCHED
from davylamp.packet import Packet, reverse_key

CAPACITY = 32_768
"""Flows remembered, the latest; one that is not is judged by what its packet says alone."""

_LATE_SECONDS = 2.0
_LATE_BYTES = 1 << 23  # what a sender has on its way at most: some megabytes on a fast link
_HALF = 1 << 31


# docs/kernel.md, triggers
_BEGINNINGS = (b"{", b"[", b" ", b"\t", b"\r", b"\n", b"\xef\xbb\xbf", *FOLLOWED)


def _may_open(payload: bytes) -> bool:
    """Tell whether bytes could as well open a connection, or begin a message."""
    if not payload:
        return False
    plain = not payload.startswith(_BEGINNINGS) and identify(payload) is Opening.OTHER
    return not plain or may_be_armoured(payload)


def _may_switch(payload: bytes) -> bool:
    """Tell whether bytes begin the answer that ends HTTP, as far as there are bytes to tell."""
    return bool(payload) and payload.startswith(SWITCHED[: len(payload)])


class Standing(StrEnum):
    """How a packet stands to the flow it belongs to.

    ``NEW`` opens a flow, or what follows HTTP in one, ``RECALLED`` may begin a message amid a
    cleared one, ``LATE`` was on its way when its flow was cleared, ``BODY`` is a slice of an HTTP
    message.
    """

    NEW = "new"
    RECALLED = "recalled"
    LATE = "late"
    BODY = "body"


class _Cleared:
    """Where a flow stood when it was cleared; sequence numbers, modulo 2**32.

    ``up`` and ``down`` are the originator's and the responder's next bytes. ``body`` and
    ``body_end`` are where the part of the originator's HTTP body begins and ends that was to come
    when the flow was cleared, ``asked`` where the responder stood then.
    """

    __slots__ = ("asked", "at", "body", "body_end", "down", "http", "up")

    def __init__(self, packet: Packet, now: float, *, from_originator: bool) -> None:
        self.asked = self.body = self.body_end = 0
        self.http = False
        self.down = packet.ack
        self.move(packet, now, from_originator=from_originator)

    def move(self, packet: Packet, now: float, *, from_originator: bool) -> None:
        """Note where both directions stand, as a packet says."""
        self.at = now
        end = (packet.start + len(packet.payload)) & 0xFFFFFFFF
        if from_originator:
            self.up = end
            if (packet.ack - self.down) & 0xFFFFFFFF < _HALF:  # else it says less than was seen
                self.down = packet.ack
        else:
            self.up, self.down = packet.ack, end

    def waits_for(self, packet: Packet, now: float, *, from_originator: bool) -> bool:
        """Tell whether a packet can have been in the queue when the flow's last one was judged."""
        place = self.up if from_originator else self.down
        # Behind that place is what was sent again, because the queue took its time.
        near = (packet.start - place + _LATE_BYTES) & 0xFFFFFFFF < 2 * _LATE_BYTES
        recent = 0 <= now - self.at <= _LATE_SECONDS
        return near and recent and not packet.starts_connection

    def in_body(self, packet: Packet, *, from_originator: bool) -> bool:
        """Tell whether a packet is a slice of an HTTP message that nobody has answered yet."""
        if not self.http or not from_originator:
            return self.http
        size = (self.body_end - self.body) & 0xFFFFFFFF
        inside = (packet.start - self.body) & 0xFFFFFFFF < min(size, _HALF)
        # Its sender says what was answered, and what came back of the answer says so too.
        answers = (packet.ack, self.down)
        answered = any(0 < (one - self.asked) & 0xFFFFFFFF < _HALF for one in answers)
        return inside and not answered


class ClearedFlows:
    """Flows cleared lately, by their originator's tuple key."""

    __slots__ = ("_flows",)

    def __init__(self) -> None:
        self._flows: OrderedDict[bytes, _Cleared] = OrderedDict()

    def __len__(self) -> int:
        return len(self._flows)

    def add(
        self, packet: Packet, now: float, up: int | None, *, from_originator: bool, body: int | None
    ) -> None:
        """Note that this packet cleared its flow, at ``now`` seconds since the epoch.

        ``up`` is the originator's next byte if that is known better than from the packet. ``body``
        is how many bytes behind it the originator's HTTP message has still to come, None where the
        flow was not read as HTTP.
        """
        key = packet.tuple_key if from_originator else reverse_key(packet.tuple_key)
        flows = self._flows
        flow = flows.pop(key, None)
        if flow is None:
            flow = _Cleared(packet, now, from_originator=from_originator)
            if len(flows) >= CAPACITY:
                flows.popitem(last=False)
        else:
            flow.move(packet, now, from_originator=from_originator)
        flows[key] = flow
        if up is not None:
            flow.up = up
        if body is not None:
            flow.http = True
            flow.body, flow.asked = flow.up, flow.down
            flow.body_end = (flow.up + min(body, _HALF)) & 0xFFFFFFFF

    def forget(self, packet: Packet) -> None:
        """Forget the flow on these ports: this packet opens another."""
        self._flows.pop(packet.tuple_key, None)

    def standing(self, packet: Packet, now: float, *, triggered: bool) -> Standing:
        """Tell how a packet of a flow that is not under inspection stands to it.

        ``triggered`` says that the kernel marked it as brought back.
        """
        flow = self._flows.get(packet.tuple_key)
        from_originator = flow is not None
        if flow is None:
            flow = self._flows.get(reverse_key(packet.tuple_key))
        if not from_originator and _may_switch(packet.payload):
            self._flows.pop(reverse_key(packet.tuple_key), None)
            return Standing.NEW
        if flow is None:
            return Standing.RECALLED if triggered else Standing.NEW
        if not triggered:
            if not flow.waits_for(packet, now, from_originator=from_originator):
                if from_originator:
                    del self._flows[packet.tuple_key]  # another connection, on the same ports
                return Standing.NEW
            if not _may_open(packet.payload):
                return Standing.LATE
        flow.move(packet, now, from_originator=from_originator)
        in_body = flow.in_body(packet, from_originator=from_originator)
        return Standing.BODY if in_body else Standing.RECALLED
