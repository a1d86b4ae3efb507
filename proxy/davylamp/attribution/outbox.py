"""What a trainer had to say while Redis was away: kept in order, bounded, sent when it is back.

The first failure starts a daemon thread that sends what waits and ends when nothing does, so a
healthy trainer never has the thread. While anything waits, whatever is new waits behind it.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from davylamp.errors import ConfigError, LineageUnavailable

type Errand = Callable[[], object]

_log = logging.getLogger("davylamp.lineage")
_PAUSE_FIRST = 0.1
_PAUSE_LAST = 5.0


class Outbox:
    """A bounded queue of errands, each safe to repeat; beyond ``limit`` the oldest is dropped."""

    def __init__(self, limit: int = 4_096) -> None:
        self._waiting: deque[Errand] = deque(maxlen=limit)
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._sender: threading.Thread | None = None
        self._closing = False
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def send[T](self, errand: Callable[[], T]) -> T | None:
        """Do an errand now, or keep it for later and return None when Redis is away."""
        with self._lock:
            behind = bool(self._waiting)
        if not behind:
            try:
                return errand()
            except LineageUnavailable as error:
                _log.warning("lineage is kept in memory until the store is back: %s", error)
        self._keep(errand)
        return None

    def close(self, seconds: float) -> int:
        """Give what waits at most that long to be sent; return how much was given up."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while self._waiting and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            self._closing = True
            self._changed.notify_all()
            given_up = len(self._waiting)
            self._waiting.clear()
            sender = self._sender
        if sender is not None:
            sender.join(seconds)
        if given_up:
            _log.warning("%d lineage records were given up: the store did not return", given_up)
        return given_up

    def _keep(self, errand: Errand) -> None:
        with self._changed:
            if len(self._waiting) == self._waiting.maxlen:
                self.dropped += 1
                if self.dropped == 1:
                    _log.warning("too many lineage records wait; the oldest are dropped")
            self._waiting.append(errand)
            if self._sender is None and not self._closing:
                self._sender = threading.Thread(
                    target=self._work, name="davylamp-lineage", daemon=True
                )
                self._sender.start()

    def _work(self) -> None:
        pause = _PAUSE_FIRST
        while True:
            with self._changed:
                if not self._waiting or self._closing:
                    self._sender = None
                    self._changed.notify_all()
                    return
                errand = self._waiting[0]
            if self._done(errand):
                pause = _PAUSE_FIRST
                with self._changed:
                    # A full queue may have dropped the errand while it was on its way.
                    if self._waiting and self._waiting[0] is errand:
                        self._waiting.popleft()
                    self._changed.notify_all()
                continue
            with self._changed:
                if not self._closing:
                    self._changed.wait(pause)
            pause = min(pause * 2, _PAUSE_LAST)

    @staticmethod
    def _done(errand: Errand) -> bool:
        try:
            errand()
        except LineageUnavailable:
            return False
        except ConfigError as error:
            _log.warning("a lineage record was refused: %s", error)
        return True
