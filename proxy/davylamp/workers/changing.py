"""A worker's next pack: compiled beside its work, tried, and put in the place of the old one.

Strategy: a thread compiles, so that packets go on; while it does, the interpreter changes threads
often and looks for no garbage, so that no packet waits long for either. The switch itself is one
assignment. Flows that are under inspection keep the pack that they began with.
"""

import gc
import sys
import threading
import time
from collections.abc import Callable

from davylamp.errors import DavylampError
from davylamp.events import rfc3339
from davylamp.inspection.beside import Trial
from davylamp.signatures.memo import Memo
from davylamp.updates.loading import Loaded, load_source
from davylamp.workers.orders import (
    DropOrder,
    PackOrder,
    PackReply,
    PrepareOrder,
    ReportOrder,
    SwitchOrder,
    TrialReport,
)

_TURN_SECONDS = 0.0002
"""How long the compiling thread may keep the interpreter when a packet waits."""

type TryBeside = Callable[[Trial | None], None]


class PackChange:
    """Carries orders out; ``tell`` says an answer, ``switch`` puts a pack in force.

    ``try_beside`` takes a trial, or its end. ``memo`` is what the first pack was compiled with.
    """

    def __init__(
        self,
        tell: Callable[[PackReply], None],
        switch: Callable[[Loaded], None],
        try_beside: TryBeside,
        memo: Memo | None = None,
    ) -> None:
        self._memo = memo or Memo()
        self._tell = tell
        self._switch = switch
        self._try_beside = try_beside
        self._trial: Trial | None = None
        self._number = 0
        self._flows = 0
        self._prepared: Loaded | None = None
        self._thread: threading.Thread | None = None
        self._result: Loaded | DavylampError | None = None

    def take(self, order: PackOrder) -> None:
        """Carry out an order; what takes time is done by `poll` later."""
        match order:
            case PrepareOrder():
                self._prepare(order)
            case ReportOrder():
                self._reply(order.number, "reported", trial=self._report())
            case SwitchOrder():
                self._put_in_force(order.number)
            case DropOrder():
                self._end()
                self._prepared = None

    def poll(self) -> None:
        """Say that a pack is prepared, or why it is not, once that is known."""
        if self._thread is None or self._thread.is_alive():
            return
        self._thread.join()
        self._thread = None
        result, self._result = self._result, None
        if isinstance(result, Loaded):
            self._prepared = result
            if self._flows:
                self._trial = Trial(result.pack, self._flows, time.perf_counter)
                self._try_beside(self._trial)
            self._reply(self._number, "prepared", digest=result.digest)
        else:
            self._reply(self._number, "failed", reason=str(result))

    def _prepare(self, order: PrepareOrder) -> None:
        if self._thread is not None:
            self._reply(order.number, "failed", reason="another pack is being prepared")
            return
        self._number, self._flows, self._prepared = order.number, order.flows, None
        self._thread = threading.Thread(
            target=self._compile, args=(order,), name="davylamp-pack", daemon=True
        )
        self._thread.start()

    def _compile(self, order: PrepareOrder) -> None:
        turn = sys.getswitchinterval()
        sys.setswitchinterval(_TURN_SECONDS)
        gc.disable()
        try:
            self._result = load_source(order.source, self._memo)
        except DavylampError as error:
            self._result = error
        finally:
            gc.freeze()  # what a pack is made of stays; the collector need not walk it
            gc.enable()
            sys.setswitchinterval(turn)

    def _report(self) -> TrialReport | None:
        trial = self._trial
        if trial is None:
            return None
        return TrialReport(
            flows=trial.flows,
            errors=trial.errors,
            extra=dict(trial.extra),
            missing=dict(trial.missing),
            seconds=trial.seconds,
            live_seconds=trial.live_seconds,
        )

    def _end(self) -> None:
        self._try_beside(None)
        self._trial = None

    def _put_in_force(self, number: int) -> None:
        prepared = self._prepared
        if prepared is None or number != self._number:
            self._reply(number, "failed", reason="that pack is not prepared here")
            return
        began = time.perf_counter()
        self._end()
        self._switch(prepared)
        self._prepared = None
        self._reply(number, "switched", digest=prepared.digest, pause=time.perf_counter() - began)

    def _reply(  # noqa: PLR0913 - an answer's parts
        self,
        number: int,
        stage: str,
        *,
        digest: str = "",
        reason: str = "",
        pause: float = 0.0,
        trial: TrialReport | None = None,
    ) -> None:
        self._tell(
            PackReply(
                timestamp=rfc3339(time.time()),
                number=number,
                stage=stage,
                digest=digest,
                reason=reason,
                pause_seconds=pause,
                trial=trial,
            )
        )
