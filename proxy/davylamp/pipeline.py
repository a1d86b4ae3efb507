"""Packets in, decisions out: reassembly, inspection, policy and incident composed.

Sans-I/O and single-threaded: one pipeline belongs to one queue worker, sampler or capture file.

What happens to a TCP packet with payload:

    flow unknown   -> a new inspector looks at it; if that settles the flow it is CLEARed at once
                      and never stored (one packet in user space per clean connection)
    flow known     -> reassembled, its new bytes inspected
    flow blocked   -> DROPped
    a finding that policy blocks -> DROP, resets to both ends, the endpoint blocked
    conflicting overlap, or a bound met -> DROP: the receiver never sees what we could not read

The fate of a packet is decided by what its own bytes complete, so a mining request is never whole
at its receiver.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address

from davylamp.decision import ACCEPT, CLEAR, DROP, REARM, Block, Decision, Fate
from davylamp.events import Action, AlertEvent
from davylamp.flow import Direction, Proto, TcpFlag
from davylamp.flowtable import Flow, FlowLimits, FlowTable
from davylamp.incident import Sighting, alert_event
from davylamp.inspection.finding import AppProto, Finding, Standing
from davylamp.inspection.inspector import InspectionLimits, Inspector, inspect_datagram
from davylamp.packet import Packet, slice_packet
from davylamp.policy import Network, Policy, Verdict
from davylamp.reassembly import Stream, StreamLimits
from davylamp.resets import resets_for
from davylamp.signatures.pack import Pack

_DNS_PORT = 53
_SWEEP_EVERY = 4096
_MAX_ADDRESSES = 65_536


class Vantage(StrEnum):
    """Where packets come from, which decides what may be missing.

    ``INLINE``: each packet waits for its fate, connection set-up is not seen, nothing is missing.
    ``SAMPLE``: copies of some packets already delivered; holes are the rule.
    ``TRACE``: a capture file; set-up is seen, packets may be missing or cut.
    """

    INLINE = "inline"
    SAMPLE = "sample"
    TRACE = "trace"


@dataclass(frozen=True, slots=True)
class PipelineLimits:
    """Every bound of the core in one place."""

    flows: FlowLimits = field(default_factory=FlowLimits)
    stream: StreamLimits = field(default_factory=StreamLimits)
    inspection: InspectionLimits = field(default_factory=InspectionLimits)
    alerts_per_flow: int = 32


@dataclass(slots=True)
class PipelineStats:
    """Counters since the pipeline began."""

    packets: int = 0
    bytes: int = 0
    flows: int = 0
    alerts: int = 0
    cleared: int = 0
    blocked: int = 0
    conflicts: int = 0
    refused: int = 0


class Pipeline:
    """The inspection core behind one source of packets."""

    def __init__(
        self,
        pack: Pack,
        policy: Policy,
        *,
        vantage: Vantage = Vantage.INLINE,
        sandboxes: tuple[Network, ...] = (),
        limits: PipelineLimits | None = None,
    ) -> None:
        self.stats = PipelineStats()
        self._pack = pack
        self._policy = policy
        self._vantage = vantage
        self._sandboxes = sandboxes
        self._limits = limits or PipelineLimits()
        self._table = FlowTable(self._limits.flows)
        self._sandbox_addresses: dict[bytes, bool] = {}

    def packet(self, ip: bytes, now: float, *, triggered: bool = False) -> Decision:
        """Judge one IP packet; ``now`` is its time in seconds since the epoch.

        ``triggered`` says that the kernel had cleared the flow and queued this packet all the same.
        """
        stats = self.stats
        stats.packets += 1
        stats.bytes += len(ip)
        if not stats.packets % _SWEEP_EVERY:
            self.sweep(now)
        packet = slice_packet(ip)
        if packet is None:
            return ACCEPT
        if packet.proto == Proto.UDP:
            return self._datagram(packet, now)
        known = self._table.find(packet.tuple_key)
        if known is not None and self._restarts(packet, *known):
            self._table.remove(known[0])
            known = None
        if known is None:
            return self._first(packet, now, triggered=triggered)
        return self._next(packet, now, *known)

    def sweep(self, now: float) -> None:
        """Forget flows that have been idle for too long."""
        for flow in self._table.idle(now):
            self._table.remove(flow)

    def finish(self, now: float) -> tuple[AlertEvent, ...]:
        """Say that no packet follows; return what the bytes behind holes still tell."""
        alerts: list[AlertEvent] = []
        for flow in self._table.flows():
            for direction, stream in flow.streams.items():
                while stream.waiting:
                    hole, data = stream.skip_to_pending()
                    flow.inspector.gap(direction, hole)
                    found = flow.inspector.receive(direction, data, now)
                    alerts += self._alerts(flow, found, now)[0]
            self._table.remove(flow)
        return tuple(alerts)

    # --- TCP ----------------------------------------------------------------------------------

    def _restarts(self, packet: Packet, flow: Flow, direction: Direction) -> bool:
        """Tell whether a packet begins another connection between the same ports."""
        if packet.starts_connection and self._vantage is Vantage.TRACE:
            return True
        stream = flow.streams.get(direction)
        if stream is None:
            return False
        return abs(stream.distance(packet.seq)) > 4 * self._limits.stream.pending

    def _first(self, packet: Packet, now: float, *, triggered: bool) -> Decision:
        """Handle the first packet of a flow that is not in the table."""
        if not packet.payload and not packet.starts_connection:
            return ACCEPT
        self.stats.flows += 1
        direction = self._direction(packet)
        key = packet.flow_key
        flow = Flow(
            key if direction is Direction.ORIGINATOR else key.reversed(),
            now,
            now,
            Inspector(self._pack, self._limits.inspection),
            triggered=triggered,
        )
        decision = self._inspect(flow, direction, packet, now)
        if decision.fate is not Fate.CLEAR:
            self._table.add(flow, packet, direction)
        return decision

    def _next(self, packet: Packet, now: float, flow: Flow, direction: Direction) -> Decision:
        """Handle a packet of a flow in the table."""
        flow.last = now
        if flow.blocked:
            return DROP
        decision = self._inspect(flow, direction, packet, now)
        if packet.flags & TcpFlag.RST or (packet.flags & TcpFlag.FIN and self._closed(flow)):
            self._close(flow)
        elif decision.fate is Fate.CLEAR:
            self._table.remove(flow)
        else:
            self._table.touch(flow)
        return decision

    def _closed(self, flow: Flow) -> bool:
        """Count a FIN; tell whether both ends have sent theirs and nothing is missing."""
        flow.closing += 1
        return flow.closing > 1 and not any(stream.waiting for stream in flow.streams.values())

    def _close(self, flow: Flow) -> None:
        if not flow.blocked and self._vantage is not Vantage.INLINE:
            self._table.remove(flow)

    def _inspect(self, flow: Flow, direction: Direction, packet: Packet, now: float) -> Decision:
        """Reassemble one packet, inspect what it completes, and decide."""
        start = (packet.seq + bool(packet.flags & TcpFlag.SYN)) % 2**32
        stream = flow.streams.get(direction)
        if stream is None:
            anchored = bool(packet.flags & TcpFlag.SYN)
            stream = Stream(self._limits.stream, start, anchored=anchored)
            flow.streams[direction] = stream
        if not packet.payload:
            return ACCEPT
        expected = stream.next_seq
        if self._vantage is Vantage.SAMPLE or (flow.triggered and stream.distance(start) > 0):
            self._skip(flow, direction, stream, start)
            expected = start
        delivery = stream.receive(start, packet.payload)
        if delivery.conflict:
            self.stats.conflicts += 1
            found = flow.inspector.conflict(direction, packet.payload)
            return self._decide(flow, direction, packet, expected, found, now, drop=True)
        if delivery.refused:
            return self._refused(flow, direction, stream)
        if delivery.rewound:
            flow.inspector = Inspector(self._pack, self._limits.inspection)
            expected = start
        if packet.cut:
            stream.skip((start + len(packet.payload)) % 2**32)
        if not delivery.data:
            return ACCEPT
        found = flow.inspector.receive(direction, delivery.data, now)
        if found:
            return self._decide(flow, direction, packet, expected, found, now)
        return self._standing(flow)

    def _skip(self, flow: Flow, direction: Direction, stream: Stream, start: int) -> None:
        hole = stream.skip(start)
        if hole:
            flow.inspector.gap(direction, hole)

    def _refused(self, flow: Flow, direction: Direction, stream: Stream) -> Decision:
        """Handle a segment too far ahead: inline it must come again, elsewhere the hole is real."""
        self.stats.refused += 1
        if self._vantage is Vantage.INLINE:
            return DROP
        hole, data = stream.skip_to_pending()
        flow.inspector.gap(direction, hole + len(data))
        return ACCEPT

    def _standing(self, flow: Flow) -> Decision:
        """Decide on a packet that completed no finding."""
        if flow.triggered:
            if flow.inspector.partial:
                return REARM
            self.stats.cleared += 1
            return CLEAR
        if self._vantage is Vantage.INLINE and flow.inspector.standing is Standing.CLEAN:
            self.stats.cleared += 1
            return CLEAR
        if self._vantage is Vantage.INLINE and flow.inspector.partial:
            return REARM  # this packet may have been queued before an earlier one cleared the flow
        if self._vantage is Vantage.SAMPLE and flow.inspector.partial:
            return Decision(Fate.ACCEPT, suspect=flow.key)
        return ACCEPT

    def _decide(  # noqa: PLR0913, PLR0917 - a decision weighs all of these
        self,
        flow: Flow,
        direction: Direction,
        packet: Packet,
        expected: int,
        found: tuple[Finding, ...],
        now: float,
        *,
        drop: bool = False,
    ) -> Decision:
        """Turn findings into the packet's fate, the alerts, and what enforcement must do."""
        alerts, verdict = self._alerts(flow, found, now)
        if verdict is None or not verdict.blocks:
            fate = Fate.DROP if drop else self._standing(flow).fate
            return Decision(fate, tuple(alerts))
        flow.blocked = True
        self.stats.blocked += 1
        key = flow.key
        block = (
            Block(key.proto, key.orig_addr, key.resp_addr, key.resp_port)
            if verdict.block_endpoint
            else None
        )
        delivered = self._vantage is Vantage.SAMPLE
        resets = (
            resets_for(flow, direction, packet, expected, delivered=delivered)
            if verdict.action is Action.REJECT
            else ()
        )
        return Decision(Fate.DROP, tuple(alerts), resets, block)

    # --- UDP ----------------------------------------------------------------------------------

    def _datagram(self, packet: Packet, now: float) -> Decision:
        if _DNS_PORT not in (packet.src_port, packet.dst_port):
            return ACCEPT
        key = packet.flow_key
        direction = Direction.ORIGINATOR
        if packet.src_port == _DNS_PORT:
            key, direction = key.reversed(), Direction.RESPONDER
        found = inspect_datagram(self._pack, direction, packet.payload)
        if not found:
            return ACCEPT
        self.stats.flows += 1
        sighting = Sighting(
            key, now, now, AppProto.DNS, None, self._policy.mode, self._pack.version
        )
        alerts, worst = self._judge(found, sighting, set())
        blocked = worst is not None and worst.blocks
        return Decision(Fate.DROP if blocked else Fate.ACCEPT, tuple(alerts))

    # --- what both share ----------------------------------------------------------------------

    def _direction(self, packet: Packet) -> Direction:
        """Return which way the first packet seen of a flow runs.

        A sandbox is the originator; where that is not known, the sender of a SYN, then the end
        with the higher port.
        """
        key = packet.flow_key
        if packet.starts_connection:
            return Direction.ORIGINATOR
        if packet.flags & TcpFlag.SYN:
            return Direction.RESPONDER
        if self._sandboxes:
            inside = self._is_sandbox(key.orig_addr), self._is_sandbox(key.resp_addr)
            if inside[0] != inside[1]:
                return Direction.ORIGINATOR if inside[0] else Direction.RESPONDER
        return Direction.ORIGINATOR if packet.src_port >= packet.dst_port else Direction.RESPONDER

    def _is_sandbox(self, address: bytes) -> bool:
        known = self._sandbox_addresses.get(address)
        if known is None:
            ip = ip_address(address)
            known = any(ip in network for network in self._sandboxes)
            if len(self._sandbox_addresses) >= _MAX_ADDRESSES:
                self._sandbox_addresses.clear()
            self._sandbox_addresses[address] = known
        return known

    def _alerts(
        self, flow: Flow, found: tuple[Finding, ...], now: float
    ) -> tuple[list[AlertEvent], Verdict | None]:
        inspector = flow.inspector
        sighting = Sighting(
            flow.key,
            flow.begin,
            now,
            inspector.app_proto,
            inspector.hello,
            self._policy.mode,
            self._pack.version,
        )
        return self._judge(found, sighting, flow.reported)

    def _judge(
        self, found: tuple[Finding, ...], sighting: Sighting, reported: set[str]
    ) -> tuple[list[AlertEvent], Verdict | None]:
        """Return one alert for each signature not yet reported, and the gravest verdict."""
        alerts: list[AlertEvent] = []
        worst: Verdict | None = None
        for finding in found:
            verdict = self._policy.judge(finding, sighting.key)
            if worst is None or (verdict.blocks and not worst.blocks):
                worst = verdict
            fresh = finding.signature.id not in reported
            if (
                fresh
                and verdict.action is not Action.PASS
                and len(reported) < self._limits.alerts_per_flow
            ):
                reported.add(finding.signature.id)
                alerts.append(alert_event(finding, verdict, sighting))
        self.stats.alerts += len(alerts)
        return alerts, worst
