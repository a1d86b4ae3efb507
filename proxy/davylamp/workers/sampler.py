"""The sampler: copies of cleared flows' packets, looked at for as long as the flows live.

They have been delivered, so nothing here is in time for the packet itself: a finding blocks the
endpoint and resets the flow, and half a message makes the kernel queue that flow again.
"""

import contextlib
import logging
import socket
import time

from davylamp.capture.nflog import NfLog
from davylamp.pipeline import Vantage
from davylamp.workers.loop import Beginning, Worker

_WAIT_SECONDS = 0.5

logger = logging.getLogger(__name__)


class Sampler(Worker):
    """Looks at one NFLOG group."""

    def __init__(self, begin: Beginning, end: socket.socket) -> None:
        super().__init__("sample", begin, end, Vantage.SAMPLE)
        self._log = NfLog(begin.brief.config.rules.sample_group)

    def run(self) -> None:
        """Look at samples until told to stop."""
        with contextlib.closing(self._log):
            self.announce()
            while self.running:
                packets = self._log.receive(_WAIT_SECONDS)
                now = time.time()
                for packet in packets:
                    self._look(packet.captured, packet.timestamp or now)
                self.housekeeping(now)
                if self.draining and not packets:
                    self.stop()
        self.close()

    def capture_counters(self) -> dict[str, int]:
        """Return the log group's counters."""
        return {"sample_overruns": self._log.overruns}

    def _look(self, captured: bytes, now: float) -> None:
        try:
            decision = self.pipeline.packet(captured, now)
        except Exception:
            self.counters.exceptions += 1
            if self.counters.exceptions <= 10:
                logger.exception("%s: the inspection failed on a packet", self.name)
            return
        if decision.alerts or decision.suspect or decision.block:
            self.carry_out(decision, captured, now)
