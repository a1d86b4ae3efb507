"""The flows that user space is looking at, found by either direction's tuple, within bounds.

Most flows never get here: judged clean by their first packet, they are the kernel's. Those that do
are bounded in number and in bytes held. The longest-idle go first, of the address that holds the
most, so that nobody pushes out what another has said. A flow that was put out and speaks again is
simply picked up midstream, but for one with half a message: `lost` remembers that it was.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from davylamp.events import Action
from davylamp.flow import Direction, FlowKey
from davylamp.fusion import Suspicion
from davylamp.inspection.inspector import Inspector
from davylamp.keyless import KeylessAnswers
from davylamp.losthalves import LostHalves
from davylamp.packet import TCP, flow_key, reverse_key
from davylamp.reassembly import Stream

FLOW_OVERHEAD = 2048
"""Bytes that Python needs for a flow that has said nothing yet (measured, docs/performance.md)."""


@dataclass(frozen=True, slots=True)
class FlowLimits:
    """``flows`` in number, ``held`` in bytes over all of them, ``idle`` in seconds."""

    flows: int = 65_536
    held: int = 256 * 1024 * 1024
    idle: float = 300.0
    lost: int = 131_072
    """Flows put out with half a message that are remembered, in some 200 bytes each."""


@dataclass(slots=True)
class Flow:
    """One TCP flow under inspection.

    ``tuple_key`` is its originator's packets'. ``begin`` is the time of its first packet seen, in
    seconds since the epoch. ``recalled`` says that the kernel had it cleared and brought it back,
    so that bytes of it may have passed unseen. ``blocked`` is what was done to it, if it was.
    ``suspicion`` is what was found on it so far. ``steered`` says that its ClientHello was looked
    at for where it is to go, ``trusted`` that it asked for a name its address was given out for;
    ``answers`` is there where it asks one of the site's resolvers. ``older`` is a connection
    between the same ports that ended, or seems to have ended, with half a message.
    """

    tuple_key: bytes
    begin: float
    last: float
    inspector: Inspector
    recalled: bool = False
    blocked: Action | None = None
    steered: bool = False
    trusted: bool = False
    answers: KeylessAnswers | None = None
    originator: Stream | None = None
    responder: Stream | None = None
    suspicion: Suspicion = field(default_factory=Suspicion)
    finished: set[Direction] = field(default_factory=set)
    older: "Flow | None" = None
    counted: int = 0
    """What of ``held`` the table has counted."""

    @property
    def address(self) -> bytes:
        """Who began it, packed."""
        return self.tuple_key[: (len(self.tuple_key) - 4) // 2]

    @property
    def key(self) -> FlowKey:
        """The flow's five-tuple."""
        return flow_key(TCP, self.tuple_key)

    @property
    def waiting(self) -> bool:
        """Whether a direction has bytes that wait for others before them."""
        one, two = self.originator, self.responder
        return (one is not None and one.waiting) or (two is not None and two.waiting)

    @property
    def at_rest(self) -> bool:
        """Whether the flow is only remembered, because it was reported and then cleared."""
        return self.originator is None and self.responder is None and self.blocked is None

    @property
    def unfinished(self) -> bool:
        """Whether something is held whose rest must come here too."""
        return self.inspector.partial or self.waiting

    @property
    def held(self) -> int:
        """Bytes of memory that the flow takes."""
        total = FLOW_OVERHEAD + self.inspector.held + self.suspicion.held
        for part in (self.originator, self.responder, self.answers, self.older):
            if part is not None:
                total += part.held
        return total

    @property
    def streams(self) -> tuple[tuple[Direction, Stream], ...]:
        """The directions seen so far."""
        both = ((Direction.ORIGINATOR, self.originator), (Direction.RESPONDER, self.responder))
        return tuple((direction, stream) for direction, stream in both if stream is not None)

    def stream(self, direction: Direction) -> Stream | None:
        """Return one direction's stream, if a packet of it was seen."""
        return self.originator if direction is Direction.ORIGINATOR else self.responder

    def set_stream(self, direction: Direction, stream: Stream | None) -> None:
        """Begin one direction's stream, or forget it."""
        if direction is Direction.ORIGINATOR:
            self.originator = stream
        else:
            self.responder = stream


@dataclass(slots=True)
class _Share:
    """The flows that one address began, longest idle first, and the bytes that they hold."""

    flows: OrderedDict[bytes, Flow] = field(default_factory=OrderedDict)
    held: int = 0


class FlowTable:
    """Flows by tuple key, longest idle first."""

    __slots__ = (
        "_directions",
        "_flows",
        "_held",
        "_limits",
        "_most",
        "_shares",
        "evicted",
        "lost",
    )

    def __init__(self, limits: FlowLimits) -> None:
        self._limits = limits
        self._flows: OrderedDict[bytes, Flow] = OrderedDict()
        self._directions: dict[bytes, tuple[Flow, Direction]] = {}
        self._shares: dict[bytes, _Share] = {}
        self._most = _Share()  # held more than others when one was last touched
        self._held = 0
        self.evicted = 0
        """Flows that had to go because a bound was met."""
        self.lost = LostHalves(limits.lost)
        """Flows that went with half a message."""

    def __len__(self) -> int:
        return len(self._flows)

    @property
    def held(self) -> int:
        """Bytes of memory that all flows take."""
        return self._held

    def find(self, tuple_key: bytes) -> tuple[Flow, Direction] | None:
        """Return the flow that a packet belongs to, and the packet's direction."""
        return self._directions.get(tuple_key)

    def add(self, flow: Flow) -> None:
        """Keep a flow, in place of one with the same tuple; others may have to go."""
        known = self._directions.get(flow.tuple_key)
        if known is not None:
            self.remove(known[0])
        self._flows[flow.tuple_key] = flow
        self._shares.setdefault(flow.address, _Share()).flows[flow.tuple_key] = flow
        # A host that talks to itself from a port to the same port has one tuple for both ways.
        self._directions[reverse_key(flow.tuple_key)] = (flow, Direction.RESPONDER)
        self._directions[flow.tuple_key] = (flow, Direction.ORIGINATOR)
        self.touch(flow)
        while len(self._flows) > self._limits.flows:
            self._evict(flow)

    def touch(self, flow: Flow) -> None:
        """Note that a flow had a packet: it is now the least idle, and holds what it holds.

        A packet of an ``older`` connection counts for the flow that remembers it.
        """
        known = self._directions.get(flow.tuple_key)
        if known is None:
            return
        owner = known[0]
        owner.last = max(owner.last, flow.last)
        self._flows.move_to_end(owner.tuple_key)
        held = owner.held
        share = self._shares[owner.address]
        share.flows.move_to_end(owner.tuple_key)
        share.held += held - owner.counted
        self._held += held - owner.counted
        owner.counted = held
        if share.held > self._most.held:
            self._most = share
        while self._held > self._limits.held and len(self._flows) > 1:
            self._evict(owner)

    def remove(self, flow: Flow) -> None:
        """Forget a flow, or an ``older`` connection that one remembers."""
        known = self._directions.get(flow.tuple_key)
        if known is None:
            return
        owner = known[0]
        if owner is flow:
            del self._flows[flow.tuple_key]
            self._directions.pop(flow.tuple_key, None)
            self._directions.pop(reverse_key(flow.tuple_key), None)
            self._held -= flow.counted
            share = self._shares[flow.address]
            share.held -= flow.counted
            del share.flows[flow.tuple_key]
            if not share.flows:
                del self._shares[flow.address]
        elif owner.older is flow:
            owner.older = None
            self.touch(owner)

    def sweep(self, now: float) -> None:
        """Forget the flows that have been idle for longer than the limit."""
        horizon = now - self._limits.idle
        while self._flows and (flow := next(iter(self._flows.values()))).last <= horizon:
            self._put_out(flow)

    def flows(self) -> list[Flow]:
        """Return all flows, longest idle first."""
        return list(self._flows.values())

    def _evict(self, kept: Flow) -> None:
        """Put out one flow, not the one ``kept``: that is the least idle, and not alone."""
        self.evicted += 1
        # Shares are not kept in order: one that has shrunk is the most until a larger one grows.
        flow = next(iter(self._most.flows.values()), kept)
        self._put_out(flow if flow is not kept else next(iter(self._flows.values())))

    def _put_out(self, flow: Flow) -> None:
        """Forget a flow, but not that half a message of it, or of its older one, has passed."""
        for one in (flow, flow.older):
            if one is not None and one.unfinished:
                up = one.originator.next_seq if one.originator is not None else None
                down = one.responder.next_seq if one.responder is not None else None
                self.lost.add(one.tuple_key, up, down)
        self.remove(flow)
