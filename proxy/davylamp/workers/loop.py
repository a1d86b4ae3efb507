"""What both kinds of worker share: a pipeline, its consequences, and an orderly end.

A worker is a process with one thread. It takes packets, decides, carries the decision out in the
kernel, and tells its supervisor; it never waits for anything but packets.
"""

import gc
import logging
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import msgspec

from davylamp.decision import Decision, Fate
from davylamp.enforcement.nftset import KernelSets
from davylamp.enforcement.reset import ResetSender
from davylamp.enforcement.roads import Roads
from davylamp.errors import KernelError
from davylamp.events import StatsEvent, rfc3339
from davylamp.incidents.place import evidence_folder, state_folder, wallet_key
from davylamp.pipeline import Pipeline, Steering, Vantage
from davylamp.policy import Mode
from davylamp.signatures.memo import Memo
from davylamp.signatures.pack import Pack
from davylamp.wiring import limits_of, networks_of, policy_of, steering_of
from davylamp.workers.changing import PackChange
from davylamp.workers.evidence import EvidenceFolder
from davylamp.workers.link import EventLink
from davylamp.workers.orders import AnswerRecord, Brief, DrainOrder
from davylamp.workers.prctl import tie_to

_SUSPECT_SECONDS = 60.0
_HOUSEKEEPING_SECONDS = 1.0
_ORDERS_SECONDS = 0.1
_REFUSAL_SECONDS = 60.0

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class WorkerCounters:
    """What a worker counts beside its pipeline."""

    exceptions: int = 0
    kernel_refusals: int = 0
    bindings: int = 0
    diversions: int = 0
    resets: int = 0
    blocks: int = 0


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a worker begins with: its brief, the pack in force, and what that was compiled with."""

    brief: Brief
    pack: Pack
    memo: Memo


class Worker:
    """Decisions carried out; subclasses bring the packets."""

    def __init__(self, name: str, begin: Beginning, end: socket.socket, vantage: Vantage) -> None:
        self.name = name
        self.config = config = begin.brief.config
        self.counters = WorkerCounters()
        self.link = EventLink(end)
        self._enforcing = Mode(config.mode) is Mode.ENFORCE
        self._sets = KernelSets(config.rules.table)
        self._roads = Roads(config.sandboxes.interfaces)
        self.pipeline = Pipeline(
            begin.pack,
            policy_of(config),
            vantage=vantage,
            sandboxes=networks_of(config.sandboxes.subnets, "sandboxes.subnets"),
            inside=self._roads.lead_inside,
            limits=limits_of(config),
            steering=self._steering(vantage),
            wallet_key=wallet_key(state_folder(config)),
        )
        self._change = PackChange(
            self.link.send,
            lambda new: self.pipeline.use(new.pack),
            self.pipeline.try_beside,
            begin.memo,
        )
        self._evidence = EvidenceFolder(evidence_folder(config) / name)
        self._resets = ResetSender()
        self._began = time.time()
        self._next_housekeeping = self._next_orders = self._next_refusal = 0.0
        self._next_stats = self._began + config.outputs.stats_seconds
        self._stopping = False
        self.draining = False
        """Whether to end as soon as nothing waits."""

    def stop(self) -> None:
        """End after the packets in hand."""
        self._stopping = True

    @property
    def running(self) -> bool:
        """Whether to take more packets."""
        return not self._stopping

    def announce(self) -> None:
        """Tell the supervisor, by a first report, that packets are being taken."""
        self.link.send(self.stats(time.time()))
        self.link.flush()

    def run(self) -> None:
        """Take packets until told to stop."""
        raise NotImplementedError

    def carry_out(self, decision: Decision, captured: bytes, now: float) -> None:
        """Do in the kernel what the decision on a packet asks for, and report its alerts."""
        sets, config = self._sets, self.config
        if self._enforcing and decision.block is not None:
            seconds = config.policy.block_seconds
            self.counters.blocks += self._done(sets.block, decision.block, seconds)
        if decision.suspect is not None:
            self._done(sets.suspect, decision.suspect, _SUSPECT_SECONDS)
        if decision.diversion is not None:
            self.link.send(decision.diversion.event)
            seconds = config.intercept.opened_seconds
            self.counters.diversions += self._done(sets.divert, decision.diversion, seconds)
        if self._enforcing and decision.resets:
            self.counters.resets += self._resets.send(decision.resets)
        if decision.alerts:
            self._report(decision, captured, now)

    def _report(self, decision: Decision, captured: bytes, now: float) -> None:
        """Keep the packets behind alerts, then send the alerts."""
        delivered = decision.fate is not Fate.DROP
        first = decision.alerts[0]
        earlier = self.pipeline.evidence(captured)
        file = self._evidence.keep(first, earlier, captured, now)
        for alert in decision.alerts:
            verdict = msgspec.structs.replace(alert.verdict, delivered=delivered)
            self.link.send(msgspec.structs.replace(alert, verdict=verdict, pcap_file=file))

    def bind(self, decision: Decision) -> None:
        """Tell the kernel what a DNS answer binds, before anybody can act on the answer."""
        if decision.bindings and self._done(self._sets.bind, decision.bindings):
            self.counters.bindings += len(decision.bindings)

    def _done[**P](self, step: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> bool:
        """Take a step in the kernel; say whether it was not refused."""
        try:
            step(*args, **kwargs)
        except KernelError as error:
            self._refused(error)
            return False
        return True

    def _refused(self, error: KernelError) -> None:
        """Count a refusal, and log one a minute: a sandbox can fill a set at will."""
        self.counters.kernel_refusals += 1
        if time.monotonic() >= self._next_refusal:
            self._next_refusal = time.monotonic() + _REFUSAL_SECONDS
            logger.error(
                "%s: the kernel refused a set element (%d so far)",
                self.name,
                self.counters.kernel_refusals,
                exc_info=error,
            )

    def housekeeping(self, now: float) -> None:
        """Do what is due once a second: sweep and statistics; and follow orders."""
        self._follow(now)
        self.link.flush()
        if now < self._next_housekeeping:
            return
        self._next_housekeeping = now + _HOUSEKEEPING_SECONDS
        self.pipeline.sweep(now)
        if now >= self._next_stats:
            self._next_stats = now + self.config.outputs.stats_seconds
            self.link.send(self.stats(now))
            self.link.flush()

    def _follow(self, now: float) -> None:
        """Carry out what the supervisor orders; end where there is none any more."""
        if now < self._next_orders:
            return
        self._next_orders = now + _ORDERS_SECONDS
        for order in self.link.orders():
            match order:
                case AnswerRecord():
                    pass  # only a mitmproxy worker asks
                case DrainOrder():
                    self.draining = True
                case _:
                    self._change.take(order)
        self._change.poll()
        if self.link.lost:
            self.stop()

    def stats(self, now: float) -> StatsEvent:
        """Return the counters as an event."""
        stats = self.pipeline.stats
        return StatsEvent(
            timestamp=rfc3339(now),
            packets=stats.packets,
            bytes=stats.bytes,
            flows=stats.flows,
            alerts=stats.alerts,
            seconds=now - self._began,
            worker=self.name,
            counters={
                "cleared": stats.cleared,
                "blocked": stats.blocked,
                "conflicts": stats.conflicts,
                "segments_refused": stats.refused,
                "events_dropped": self.link.dropped,
                "evidence_refused": self._evidence.refused,
                **asdict(self.counters),
                **self.capture_counters(),
            },
        )

    def capture_counters(self) -> dict[str, int]:
        """Return the counters of where the packets come from."""
        return {}

    def _steering(self, vantage: Vantage) -> Steering | None:
        policy = steering_of(self.config)
        if policy is None or vantage is not Vantage.INLINE:
            return None
        return Steering(policy, self._sets, enforcing=self._enforcing)

    def close(self) -> None:
        """Report a last time and release the kernel's things."""
        self.link.send(self.stats(time.time()))
        self.link.flush()
        self._sets.close()
        self._resets.close()
        self._roads.close()


def settle_in(worker: Worker, parent: int) -> None:
    """Make this process a worker: dies with its parent, ends on SIGTERM."""
    if not tie_to(parent):
        worker.stop()
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    # The pack is large and lives as long as the process: the collector need not walk it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
