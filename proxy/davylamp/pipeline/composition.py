"""The pipeline itself: slices packets, hands TCP to its judge, and inspects DNS datagrams."""

from collections.abc import Callable
from dataclasses import replace

from davylamp.decision import ACCEPT, DROP, Decision, Fate
from davylamp.events import AlertEvent
from davylamp.flow import Direction
from davylamp.incident import Reporter, Sighting
from davylamp.inspection.beside import Trial
from davylamp.inspection.finding import AppProto
from davylamp.inspection.inspector import inspect_datagram
from davylamp.inspection.wire.dns import DNS_PORT
from davylamp.packet import UDP, Packet, slice_packet
from davylamp.pipeline.datagrams import DatagramFlows
from davylamp.pipeline.evidence import rebuilt
from davylamp.pipeline.orientation import Orientation
from davylamp.pipeline.settings import PipelineLimits, PipelineStats, Vantage
from davylamp.pipeline.steered import Steering
from davylamp.pipeline.tcp import TcpJudge
from davylamp.policy import Network, Policy
from davylamp.signatures.pack import Pack

_SWEEP_EVERY = 4096


class Pipeline:
    """The inspection core behind one source of packets."""

    def __init__(  # noqa: PLR0913 - all that a site can say
        self,
        pack: Pack,
        policy: Policy,
        *,
        vantage: Vantage = Vantage.INLINE,
        sandboxes: tuple[Network, ...] = (),
        inside: Callable[[bytes], bool] | None = None,
        limits: PipelineLimits | None = None,
        steering: Steering | None = None,
        wallet_key: bytes = b"",
    ) -> None:
        """Take ``sandboxes`` and ``inside`` as `Orientation` does."""
        limits = limits or PipelineLimits()
        self.stats = PipelineStats()
        self._pack = pack
        self._reporter = Reporter(policy, pack.version, limits.alerts_per_flow, wallet_key)
        self._vantage = vantage
        self._steering = steering
        self._datagrams = DatagramFlows()
        self._orientation = Orientation(sandboxes, inside)
        self._tcp = TcpJudge(
            pack,
            self._reporter,
            self._orientation,
            self.stats,
            vantage=vantage,
            mode=policy.mode,
            limits=limits,
            steering=steering,
        )

    @property
    def tracked(self) -> int:
        """Flows that are under inspection now."""
        return len(self._tcp.table)

    @property
    def evicted(self) -> int:
        """Flows that had to be put out because a bound was met."""
        return self._tcp.table.evicted

    @property
    def held(self) -> int:
        """Bytes of memory that all tracked flows take."""
        return self._tcp.table.held

    def use(self, pack: Pack) -> None:
        """Judge new flows by another pack; flows under inspection keep theirs."""
        self._pack = pack
        self._reporter.use(pack.version)
        self._tcp.use(pack)

    def try_beside(self, trial: Trial | None) -> None:
        """Have new TCP flows inspected by another pack as well, or no longer; see `Trial`."""
        self._tcp.try_beside(trial)

    def packet(
        self, ip: bytes, now: float, *, triggered: bool = False, opening: bool = False
    ) -> Decision:
        """Judge one IP packet; ``now`` is its time in seconds since the epoch.

        ``triggered`` says that the kernel had cleared the flow and queued this packet all the same,
        ``opening`` that it has the first byte that the originator of its connection sends.
        """
        stats = self.stats
        stats.packets += 1
        stats.bytes += len(ip)
        if not stats.packets % _SWEEP_EVERY:
            self.sweep(now)
        packet = slice_packet(ip)
        if packet is None:
            # The kernel queues TCP and DNS. What it saw as that and we do not, its receiver may.
            return DROP if self._tcp.refuses else ACCEPT
        if packet.proto == UDP:
            return self._datagram(ip, packet, now)
        decision = self._tcp.packet(packet, now, triggered=triggered, opening=opening)
        if self._steering is not None and packet.src_port == DNS_PORT and packet.payload:
            answers = self._tcp.answers(packet)
            steered = self._steering.keyless(decision, ip, packet, answers)
            stats.refused += steered.fate is Fate.DROP and decision.fate is not Fate.DROP
            return steered
        return decision

    def sweep(self, now: float) -> None:
        """Forget flows that have been idle for too long."""
        self._tcp.table.sweep(now)
        self._orientation.forget()

    def finish(self, now: float) -> tuple[AlertEvent, ...]:
        """Say that no packet follows; return what the bytes behind holes still tell."""
        return self._tcp.finish(now)

    def evidence(self, ip: bytes) -> tuple[bytes, ...]:
        """Return what is still held of the flow that a packet was judged on, as IP packets.

        Bytes that this very packet brought are left out. Asked only when a packet was alerted on,
        so that no other pays for it.
        """
        packet = slice_packet(ip)
        if packet is None or packet.proto == UDP:
            return ()
        known = self._tcp.table.find(packet.tuple_key)
        return rebuilt(known[0], packet) if known is not None else ()

    def _datagram(self, ip: bytes, packet: Packet, now: float) -> Decision:
        if packet.dst_port == DNS_PORT:
            key, direction = packet.flow_key, Direction.ORIGINATOR
        elif packet.src_port == DNS_PORT:
            key, direction = packet.flow_key.reversed(), Direction.RESPONDER
        else:
            return ACCEPT
        found, message = inspect_datagram(self._pack, direction, packet.payload)
        steered = ACCEPT
        if self._steering is not None and message is not None and message.is_response:
            steered = self._steering.answer(ip, packet.payload, message, key)
        if not found:
            return steered
        flow = self._datagrams.find(key, now)
        if flow is None:
            self.stats.flows += 1
            flow = self._datagrams.open(key, now)
        sighting = Sighting(key, flow.begin, now, AppProto.DNS)
        alerts, verdict = self._reporter.report(found, sighting, flow.suspicion)
        self.stats.alerts += len(alerts)
        if verdict.blocks and self._vantage is not Vantage.SAMPLE:
            return Decision(Fate.DROP, alerts)
        return replace(steered, alerts=alerts)
