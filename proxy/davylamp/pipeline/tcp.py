"""TCP packets to decisions: when to look, what may pass, what a finding leads to."""

from dataclasses import replace

from davylamp.decision import ACCEPT, CLEAR, DROP, REARM, TRUST, Decision, Fate
from davylamp.events import Action, AlertEvent
from davylamp.flow import Direction
from davylamp.flowtable import Flow, FlowTable
from davylamp.incident import Reporter, Sighting
from davylamp.inspection.beside import Trial
from davylamp.inspection.finding import AppProto, Finding
from davylamp.inspection.wire.dns import DNS_PORT
from davylamp.keyless import KeylessAnswers
from davylamp.packet import ACK, FIN, RST, SYN, Packet, reverse_key
from davylamp.pipeline.blocked import blocked, further
from davylamp.pipeline.cleared import ClearedFlows, Standing
from davylamp.pipeline.incarnations import Incarnations
from davylamp.pipeline.inspectors import Inspectors
from davylamp.pipeline.orientation import Orientation
from davylamp.pipeline.settings import PipelineLimits, PipelineStats, Vantage
from davylamp.pipeline.slices import has_messages, is_document, is_slice, is_text
from davylamp.pipeline.steered import Steering
from davylamp.policy import Mode, Verdict
from davylamp.reassembly import Stream
from davylamp.resets import resets_for, resets_for_lost
from davylamp.signatures.pack import Pack

_SHORT_HISTORY = 16 * 1024
_SHORT_REWIND = 64 * 1024
_ANOTHER_CONNECTION = 1 << 30  # bytes between two packets that no hole in a capture explains


class TcpJudge:
    """Judges the TCP packets of one source."""

    def __init__(  # noqa: PLR0913 - it composes all of these
        self,
        pack: Pack,
        reporter: Reporter,
        orientation: Orientation,
        stats: PipelineStats,
        *,
        vantage: Vantage,
        mode: Mode,
        limits: PipelineLimits,
        steering: Steering | None = None,
    ) -> None:
        self._inspectors = Inspectors(pack, limits.inspection)
        self._reporter = reporter
        self._orientation = orientation
        self._stats = stats
        self._inline = vantage is Vantage.INLINE
        self._sampled = vantage is Vantage.SAMPLE
        # A segment may be refused only where that brings it back: inline, and not observing.
        self.refuses = self._inline and mode is Mode.ENFORCE
        # What is refused for being lost need not be remembered where nothing is refused.
        self.table = FlowTable(limits.flows if self.refuses else replace(limits.flows, lost=0))
        # Elsewhere nothing can be replaced any more; a short history tells a retransmission.
        history = min(limits.stream.history, _SHORT_HISTORY)
        short = replace(limits.stream, history=history, rewind=_SHORT_REWIND)
        self._stream = limits.stream if self._inline else short
        far = self._stream.window if self._inline else _ANOTHER_CONNECTION
        self._incarnations = Incarnations(far, sampled=self._sampled)
        self._cleared = ClearedFlows()
        self._steering = steering

    def use(self, pack: Pack) -> None:
        """Judge new flows by another pack."""
        self._inspectors.use(pack)

    def try_beside(self, trial: Trial | None) -> None:
        """Have new flows inspected by another pack as well, or no longer."""
        self._inspectors.try_beside(trial)

    def packet(self, packet: Packet, now: float, *, triggered: bool, opening: bool) -> Decision:
        """Judge one packet seen at ``now``; ``triggered`` and ``opening`` as in `Pipeline`."""
        if self.table.lost and self.refuses and packet.payload:
            if opening:
                self.table.lost.forget(packet.tuple_key)
            elif ends := self.table.lost.of(packet, self._stream.window):
                self._stats.refused += 1
                return Decision(Fate.DROP, resets=resets_for_lost(packet, *ends))
        known = self.table.find(packet.tuple_key)
        if self._inline and (known is None or known[0].at_rest):
            if opening:
                self._cleared.forget(packet)
            standing = self._cleared.standing(packet, now, triggered=triggered)
            if standing is Standing.LATE:
                return ACCEPT
            triggered = standing is not Standing.NEW
            if standing is Standing.BODY or (triggered and is_document(packet)):
                self._stats.cleared += 1
                return CLEAR
        elif self._sampled and not (known and known[0].unfinished) and is_slice(packet):
            return self._glimpse(packet)
        if known is None:
            return self._first(packet, now, triggered=triggered, opening=opening)
        return self._next(packet, now, *known, triggered=triggered)

    def answers(self, packet: Packet) -> KeylessAnswers | None:
        """Return what passed before a resolver's packet that was judged, where that is known."""
        known = self.table.find(packet.tuple_key)
        chosen = self._incarnations.of(packet, *known) if known is not None else None
        # Of a flow that was recalled bytes have passed unseen: a hole in it may never be filled.
        return None if chosen is None or chosen[0].recalled else chosen[0].answers

    def finish(self, now: float) -> tuple[AlertEvent, ...]:
        """Give up every hole; return what the bytes behind them tell."""
        alerts: list[AlertEvent] = []
        for flow in self.table.flows():
            for direction, stream in flow.streams:
                while stream.waiting:
                    hole, data = stream.skip_to_pending()
                    found = self._after_hole(flow, direction, hole, data, now)
                    if found:
                        alerts += self._report(flow, found, now)[0]
            self.table.remove(flow)
        return tuple(alerts)

    # --- which flow a packet belongs to -------------------------------------------------------

    def _another(self, packet: Packet, now: float, flow: Flow, *, triggered: bool) -> Decision:
        """Handle a packet of neither connection known on its ports: they are used again.

        Inline that may be a lie, to make us forget half a message whose rest is yet to come: one
        connection with half a message is remembered, and while there are two, no third is let in.
        """
        keep = None
        if self._inline and not packet.starts_connection:
            halves = [one for one in (flow, flow.older) if one is not None and one.unfinished]
            if len(halves) > 1 and self.refuses:
                self._stats.refused += 1
                return DROP
            keep = halves[0] if halves else None
        self.table.remove(flow)
        if keep is not None:
            keep.older = None
        return self._first(packet, now, triggered=triggered, older=keep)

    def _first(
        self,
        packet: Packet,
        now: float,
        *,
        triggered: bool,
        opening: bool = False,
        older: Flow | None = None,
    ) -> Decision:
        """Handle the first packet of a flow that is not in the table."""
        payload = packet.payload
        if not payload and not packet.flags & SYN:
            return ACCEPT
        self._stats.flows += 1
        direction = self._orientation.of(packet, opening=opening)
        outward = direction is Direction.ORIGINATOR
        port = packet.dst_port if outward else packet.src_port
        listed = port == DNS_PORT or (
            port in self._inspectors.ports
            and (packet.destination if outward else packet.source) in self._inspectors.endpoints
        )
        first = self._inline and outward and payload and not packet.missing
        if first and not (triggered or listed or older):
            # The common case: one packet tells at a glance, and hardly anything is kept.
            seen, steering = self._inspectors.settled_as(payload), self._steering
            if seen is AppProto.HTTP:
                return self._clear(packet, now, direction, 0)
            if seen is not None and steering is None:
                return self._clear(packet, now, direction, None)
            if seen is not None and steering and steering.vouches(packet.flow_key, seen):
                self._clear(packet, now, direction, None)
                return TRUST
        return self._open(
            packet,
            now,
            direction,
            triggered=triggered,
            anchored=opening or bool(packet.flags & SYN),
            older=older,
            listed=listed,
        )

    def _open(  # noqa: PLR0913 - a packet, what is known of its flow, and when
        self,
        packet: Packet,
        now: float,
        direction: Direction,
        *,
        triggered: bool,
        anchored: bool,
        older: Flow | None,
        listed: bool,
    ) -> Decision:
        """Inspect the first packet of a flow; put that in the table where this does not settle it.

        ``listed`` says that its endpoint is on a list, or may be a resolver; ``anchored`` that no
        byte of its direction comes before it.
        """
        payload = packet.payload
        inspector = self._inspectors.new(begun=triggered or self._sampled)
        asks = False
        if listed:
            outward = direction is Direction.ORIGINATOR
            endpoint = packet.destination if outward else packet.source
            if endpoint in self._inspectors.endpoints:
                inspector.reach(endpoint, now)
            asks = self._steering is not None and self._steering.asks(endpoint)
            if asks:
                inspector.keep_answers()
        found = inspector.receive(direction, payload, now) if payload else ()
        judged = not inspector.partial if triggered else inspector.settled
        steered = self._steering is not None and inspector.hello is not None
        plain = not (found or older or packet.missing or steered)
        if judged and self._inline and plain:
            return self._clear(packet, now, direction, inspector.http_body_left)
        flow = Flow(
            packet.tuple_key
            if direction is Direction.ORIGINATOR
            else reverse_key(packet.tuple_key),
            now,
            now,
            inspector,
            recalled=triggered,
            answers=KeylessAnswers() if asks else None,
            older=older,
        )
        stream = Stream.begun(self._stream, packet.start, payload, anchored=anchored)
        flow.set_stream(direction, stream)
        self.table.add(flow)
        if not payload:
            return ACCEPT
        found += self._cut(flow, direction, stream, packet, now)
        return self._conclude(flow, direction, packet, packet.start, found, now)

    # --- what is done with its bytes ----------------------------------------------------------

    def _next(
        self, packet: Packet, now: float, flow: Flow, direction: Direction, *, triggered: bool
    ) -> Decision:
        """Handle a packet of a flow in the table."""
        if flow.older is not None or not self._incarnations.belongs(packet, flow, direction):
            chosen = self._incarnations.of(packet, flow, direction)
            if chosen is None:
                return self._another(packet, now, flow, triggered=triggered)
            flow, direction = chosen
        flow.last = now
        if flow.blocked is not None:
            self.table.touch(flow)
            return further(packet, flow, direction, sampled=self._sampled)
        if triggered:
            flow.recalled = True
        decision = ACCEPT
        stream = self._stream_of(packet, flow, direction)
        if packet.payload:
            decision = self._take(packet, now, flow, direction, stream, triggered=triggered)
        if packet.flags & (FIN | RST) and not self._inline:
            self._end(packet, flow, direction)
        elif not decision.fate.lets_go:
            self.table.touch(flow)
        return decision

    def _take(  # noqa: PLR0913 - a packet, its place, and when
        self,
        packet: Packet,
        now: float,
        flow: Flow,
        direction: Direction,
        stream: Stream,
        *,
        triggered: bool,
    ) -> Decision:
        """Reassemble one packet, inspect what it completes, and decide."""
        start = packet.start
        found: tuple[Finding, ...] = ()
        if self._sampled or triggered:
            # What came before this packet was delivered without being queued.
            found += self._after_hole(flow, direction, *stream.skip(start), now)
        if flow.recalled:
            found += self._acknowledged(packet, now, flow, direction.opposite)
        expected = stream.next_seq
        delivery = stream.receive(start, packet.payload)
        if delivery.refused:
            self._stats.refused += 1
            if self.refuses and not flow.recalled:
                return DROP
            while delivery.refused:
                hole, data = stream.skip_to_pending() if stream.waiting else stream.skip(start)
                found += self._after_hole(flow, direction, hole, data, now)
                delivery = stream.receive(start, packet.payload)
        if delivery.probe:
            return DROP if self.refuses else ACCEPT
        if delivery.conflict:
            self._stats.conflicts += 1
            found += flow.inspector.conflict(direction, packet.payload)
            return self._conclude(flow, direction, packet, expected, found, now, conflict=True)
        if delivery.rewound:
            flow.inspector.rewind(direction, delivery.offset)
            expected = start
        if delivery.data:
            found += flow.inspector.receive(direction, delivery.data, now)
        found += self._cut(flow, direction, stream, packet, now)
        return self._conclude(flow, direction, packet, expected, found, now)

    def _stream_of(self, packet: Packet, flow: Flow, direction: Direction) -> Stream:
        """Return the stream that a packet belongs to, begun with it if need be."""
        stream = flow.stream(direction)
        if stream is None:
            stream = Stream(self._stream, packet.start, anchored=bool(packet.flags & SYN))
        elif self._sampled and abs(stream.distance(packet.start)) > self._stream.window:
            stream = Stream(self._stream, packet.start)
            flow.inspector.gap(direction, 0)
        else:
            return stream
        flow.set_stream(direction, stream)
        return stream

    def _acknowledged(
        self, packet: Packet, now: float, flow: Flow, direction: Direction
    ) -> tuple[Finding, ...]:
        """Give up what this packet's sender has, though it passed before the flow was recalled."""
        stream = flow.stream(direction)
        if stream is None or not packet.flags & ACK:
            return ()
        return self._after_hole(flow, direction, *stream.skip(packet.ack), now)

    def _cut(
        self, flow: Flow, direction: Direction, stream: Stream, packet: Packet, now: float
    ) -> tuple[Finding, ...]:
        """Pass over the bytes of a packet that were not captured."""
        if not packet.missing or stream.waiting:
            return ()
        end = (packet.start + len(packet.payload) + packet.missing) & 0xFFFFFFFF
        return self._after_hole(flow, direction, *stream.skip(end), now)

    def _after_hole(
        self, flow: Flow, direction: Direction, hole: int, data: bytes, now: float
    ) -> tuple[Finding, ...]:
        if not hole:
            return ()
        flow.inspector.gap(direction, hole)
        return flow.inspector.receive(direction, data, now) if data else ()

    # --- what follows from it -----------------------------------------------------------------

    def _conclude(  # noqa: PLR0913, PLR0917 - a decision weighs all of these
        self,
        flow: Flow,
        direction: Direction,
        packet: Packet,
        expected: int,
        found: tuple[Finding, ...],
        now: float,
        *,
        conflict: bool = False,
    ) -> Decision:
        """Turn findings into the packet's fate, the alerts, and what enforcement must do."""
        alerts: tuple[AlertEvent, ...] = ()
        if found:
            alerts, verdict = self._report(flow, found, now)
            if verdict.blocks:
                self._stats.blocked += 1
                resets = resets_for(flow, direction, packet, expected, delivered=self._sampled)
                return blocked(flow, alerts, verdict, resets, sampled=self._sampled)
        if self._steering is not None and flow.inspector.hello is not None and not flow.steered:
            diversion = self._steering.steer(flow, flow.inspector.hello, now)
            if diversion is not None:
                flow.blocked = Action.REJECT
                resets = resets_for(flow, direction, packet, expected, delivered=False)
                return Decision(Fate.DROP, alerts, resets, diversion=diversion)
        plain = DROP if conflict and self.refuses else self._standing(flow, direction, packet, now)
        steering = self._steering if flow.answers is not None else None
        bindings = steering.bound(flow) if steering is not None else ()
        if not alerts and not bindings:
            return plain
        return Decision(plain.fate, alerts, suspect=plain.suspect, bindings=bindings)

    def _standing(self, flow: Flow, direction: Direction, packet: Packet, now: float) -> Decision:
        """Decide on a packet that nothing blocks."""
        if self._sampled:
            half = flow.inspector.half_json and is_text(packet.payload)
            return Decision(Fate.ACCEPT, suspect=flow.key) if half else ACCEPT
        if not self._inline:
            return ACCEPT
        if flow.unfinished:
            # Also where the flow is new: it may be one that an earlier packet of it cleared while
            # this one was already waiting in the queue.
            return REARM
        # Answers of a resolver's are read to the last: one that nobody reads would bind nothing.
        answers = flow.answers is not None and flow.inspector.app_proto is AppProto.DNS
        if answers or not (flow.recalled or flow.inspector.settled):
            return ACCEPT
        if flow.older is not None and flow.older.unfinished:
            return REARM
        up = flow.originator.next_seq if flow.originator is not None else None
        decision = self._clear(packet, now, direction, flow.inspector.http_body_left, up)
        self._let_go(flow)
        return TRUST if flow.trusted and not flow.suspicion else decision

    def _clear(
        self,
        packet: Packet,
        now: float,
        direction: Direction,
        body: int | None,
        up: int | None = None,
    ) -> Decision:
        """Give a flow to the kernel, and remember what its packets will mean if they come back.

        ``body`` and ``up`` are as in `ClearedFlows.add`.
        """
        self._stats.cleared += 1
        from_originator = direction is Direction.ORIGINATOR
        self._cleared.add(packet, now, up, from_originator=from_originator, body=body)
        return CLEAR

    def _glimpse(self, packet: Packet) -> Decision:
        """Name a flow a suspect if a sampled slice of it has lines that begin like messages.

        Whether they are messages, or a document that quotes some, is for the judge inline to tell,
        who knows what the flow was cleared as.
        """
        if not has_messages(packet):
            return ACCEPT
        key = packet.flow_key
        outward = self._orientation.of(packet) is Direction.ORIGINATOR
        return Decision(Fate.ACCEPT, suspect=key if outward else key.reversed())

    def _let_go(self, flow: Flow) -> None:
        """Forget a cleared flow, but not that it was reported: the kernel may bring it back."""
        if not flow.suspicion:
            self.table.remove(flow)
            return
        flow.originator = flow.responder = flow.older = None
        flow.recalled = False
        flow.inspector = self._inspectors.new(begun=True)
        self.table.touch(flow)

    def _end(self, packet: Packet, flow: Flow, direction: Direction) -> None:
        """Forget a flow that was reset, or that both ends have finished with nothing missing."""
        flow.finished.add(direction)
        if packet.flags & RST or (len(flow.finished) == 2 and not flow.waiting):
            self.table.remove(flow)

    def _report(
        self, flow: Flow, found: tuple[Finding, ...], now: float
    ) -> tuple[tuple[AlertEvent, ...], Verdict]:
        inspector = flow.inspector
        sighting = Sighting(
            flow.key, flow.begin, now, inspector.app_proto, inspector.hello, inspector.pack_version
        )
        alerts, verdict = self._reporter.report(found, sighting, flow.suspicion)
        self._stats.alerts += len(alerts)
        return alerts, verdict
