"""The flows that user space is looking at, found by either direction's tuple, within bounds.

Most flows never get here: judged clean by their first packet, they are the kernel's. Those that do
are bounded in number and in bytes held; the longest-idle go first. A flow that was put out and
speaks again is simply picked up midstream.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from davylamp.flow import Direction, FlowKey
from davylamp.inspection.inspector import Inspector
from davylamp.packet import Packet
from davylamp.reassembly import Stream


@dataclass(frozen=True, slots=True)
class FlowLimits:
    """``flows`` in number, ``held`` in bytes over all of them, ``idle`` in seconds."""

    flows: int = 65_536
    held: int = 256 * 1024 * 1024
    idle: float = 300.0


@dataclass(slots=True)
class Flow:
    """One TCP flow under inspection.

    ``begin`` is the time of its first packet seen, in seconds since the epoch. ``triggered`` says
    that the kernel had it cleared and brought it back.
    """

    key: FlowKey
    begin: float
    last: float
    inspector: Inspector
    triggered: bool = False
    blocked: bool = False
    held: int = 0
    closing: int = 0
    streams: dict[Direction, Stream] = field(default_factory=dict)
    reported: set[str] = field(default_factory=set)
    tuple_key: bytes = b""
    reverse_key: bytes = b""


class FlowTable:
    """Flows by tuple key, longest idle first."""

    __slots__ = ("_directions", "_flows", "_held", "_limits", "evicted")

    def __init__(self, limits: FlowLimits) -> None:
        self._limits = limits
        self._flows: OrderedDict[bytes, Flow] = OrderedDict()  # by the originator's tuple key
        self._directions: dict[bytes, tuple[Flow, Direction]] = {}
        self._held = 0
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._flows)

    @property
    def held(self) -> int:
        """Bytes that all flows' buffers hold."""
        return self._held

    def find(self, tuple_key: bytes) -> tuple[Flow, Direction] | None:
        """Return the flow that a packet belongs to, and the packet's direction."""
        return self._directions.get(tuple_key)

    def add(self, flow: Flow, packet: Packet, direction: Direction) -> None:
        """Keep a flow whose ``packet`` runs in ``direction``; others may have to go."""
        one, two = packet.tuple_key, packet.reverse_key
        flow.tuple_key, flow.reverse_key = (
            (one, two) if direction is Direction.ORIGINATOR else (two, one)
        )
        self._flows[flow.tuple_key] = flow
        self._directions[one] = (flow, direction)
        self._directions[two] = (flow, direction.opposite)
        self.touch(flow)
        while len(self._flows) > self._limits.flows:
            self._evict()

    def touch(self, flow: Flow) -> None:
        """Note that a flow had a packet: it is now the least idle, and holds what it holds."""
        self._flows.move_to_end(flow.tuple_key)
        held = flow.inspector.held + sum(stream.held for stream in flow.streams.values())
        self._held += held - flow.held
        flow.held = held
        while self._held > self._limits.held and len(self._flows) > 1:
            self._evict()

    def remove(self, flow: Flow) -> None:
        """Forget a flow."""
        if self._flows.pop(flow.tuple_key, None) is not None:
            self._directions.pop(flow.tuple_key, None)
            self._directions.pop(flow.reverse_key, None)  # the same key, if a host talks to itself
            self._held -= flow.held

    def idle(self, now: float) -> list[Flow]:
        """Return the flows that have been idle for longer than the limit, longest first."""
        result = []
        for flow in self._flows.values():
            if now - flow.last < self._limits.idle:
                break
            result.append(flow)
        return result

    def flows(self) -> list[Flow]:
        """Return all flows, longest idle first."""
        return list(self._flows.values())

    def _evict(self) -> None:
        self.evicted += 1
        self.remove(next(iter(self._flows.values())))
