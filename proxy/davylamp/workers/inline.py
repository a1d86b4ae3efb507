"""The queue worker: every packet of one NFQUEUE gets its verdict here."""

import contextlib
import logging
import socket
import time

from davylamp.capture.nfqueue import NfQueue, QueuedPacket
from davylamp.decision import ACCEPT, DROP, Decision
from davylamp.marks import MarkField
from davylamp.pipeline import Vantage
from davylamp.workers.loop import Beginning, Worker

_WAIT_SECONDS = 0.25

logger = logging.getLogger(__name__)


class InlineWorker(Worker):
    """Judges one queue."""

    def __init__(self, number: int, begin: Beginning, end: socket.socket) -> None:
        super().__init__(f"queue-{number}", begin, end, Vantage.INLINE)
        config = begin.brief.config
        marks = MarkField(config.rules.mark_shift)
        self._marks = marks
        self._on_exception = ACCEPT if config.exception_policy == "fail-open" else DROP
        self._queue = NfQueue(
            number,
            copy_bytes=config.queues.copy_bytes,
            max_length=config.queues.packets,
            fail_open=config.exception_policy == "fail-open",
            marks=marks,
        )

    def run(self) -> None:
        """Judge packets until told to stop."""
        queue = self._queue
        with contextlib.closing(queue):
            self.announce()
            while self.running:
                packets = queue.receive(_WAIT_SECONDS)
                now = time.time()
                consequences: list[tuple[Decision, bytes]] = []
                for packet in packets:
                    decision = self._judge(packet, now)
                    self.bind(decision)
                    if decision.replacement is None:
                        queue.verdict(packet.packet_id, decision.fate, packet.mark)
                    else:
                        queue.replace(packet.packet_id, decision.replacement, packet.mark)
                    if decision.has_consequences:
                        consequences.append((decision, packet.captured))
                if consequences:
                    queue.flush()  # the packet's fate first, then everything that follows from it
                    for decision, captured in consequences:
                        self.carry_out(decision, captured, now)
                self.housekeeping(now)
                if self.draining and not packets and not queue.counters().waiting:
                    self.stop()
        self.close()

    def capture_counters(self) -> dict[str, int]:
        """Return the queue's counters."""
        counters = self._queue.counters()
        return {
            "queue_waiting": counters.waiting,
            "queue_dropped": counters.queue_dropped,
            "queue_overruns": counters.user_dropped + counters.overruns,
            "queue_malformed": counters.malformed,
        }

    def _judge(self, packet: QueuedPacket, now: float) -> Decision:
        marks = self._marks
        said = packet.mark & (marks.mask ^ marks.queue)
        try:
            return self.pipeline.packet(
                packet.captured,
                now,
                triggered=said == marks.triggered,
                opening=said == marks.opening,
            )
        except Exception:
            # Our mistake, not the packet's: what follows is the site's exception policy.
            self.counters.exceptions += 1
            if self.counters.exceptions <= 10:
                logger.exception("%s: the inspection failed on a packet", self.name)
            return self._on_exception
