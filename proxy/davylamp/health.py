"""Whether a gateway at work is well: for whoever scrapes it, and for systemd's watchdog."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

from davylamp import netlink
from davylamp.api.sight import Packs
from davylamp.attribution.table import LineageTable
from davylamp.config import GatewayConfig
from davylamp.enforcement.interfaces import absent
from davylamp.enforcement.kernel import Kernel
from davylamp.metrics.vitals import QueueVitals, Vitals, WorkerVitals
from davylamp.routes import RouteWatch
from davylamp.rulewatch import RuleWatch
from davylamp.systemd import Notifier
from davylamp.updates.loading import without_local
from davylamp.workers.supervised import Supervised

_MISSED_REPORTS = 3
_GRACE_SECONDS = 5.0
"""A worker reports every ``outputs.stats_seconds``; after so many missed ones it hangs."""


class Health:
    """Asks the parts of a gateway how they are, whenever somebody wants to know.

    ``outputs`` says what is wrong with them, once the gateway has opened them.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the parts that it asks
        self,
        config: GatewayConfig,
        packs: Packs,
        kernel: Kernel,
        table: LineageTable,
        rules: RuleWatch,
        routes: RouteWatch,
        processes: Sequence[Supervised],
    ) -> None:
        self._config = config
        self._packs = packs
        self._kernel = kernel
        self._table = table
        self._rules = rules
        self._routes = routes
        self.processes = processes
        self.outputs: Callable[[], Sequence[str]] = tuple

    def vitals(self) -> Vitals:
        """Return how everything is now; reads /proc, and waits for nothing."""
        queues = self._config.queues
        numbers = range(queues.first, queues.first + queues.workers)
        pack = self._packs.pack
        return Vitals(
            mode=self._config.mode,
            pack=(pack.name, pack.version),
            workers={one.name: WorkerVitals(one.alive, one.restarts) for one in self.processes},
            queues={number: _queue(number, queues.packets) for number in numbers},
            lineage_live=self._table.live,
            lineage_fresh_at=max(self._table.fresh_at, 0.0),
            rules_applied_at=self._kernel.applied_at,
            rules_restored=self._rules.restored,
            connections=asdict(self._routes.total),
        )

    def wrong(self) -> str:
        """Say what keeps the gateway from being well now, its start included; else nothing."""
        if not self._kernel.applied_at:
            return self._rules.problem or "the rules are not in force yet"
        return self.unfit(time.monotonic())

    def noted(self) -> tuple[str, ...]:
        """Say what is wrong around a gateway that is well itself: to start it again is no help."""
        missing = absent(self._config.sandboxes.interfaces)
        found = (
            *(f"there is no interface {name} here: nothing of it is judged" for name in missing),
            without_local(self._config.pack.local),
            *self.outputs(),
            self._routes.problem,
        )
        return tuple(filter(None, found))

    def unfit(self, now: float) -> str:
        """Say which process is gone or silent at a monotonic time; empty while all work."""
        patience = self._config.outputs.stats_seconds * _MISSED_REPORTS + _GRACE_SECONDS
        for one in self.processes:
            if not one.alive:
                return f"{one.name} is not running"
            if one.heard and now - one.heard > patience:
                return f"{one.name} has said nothing for {now - one.heard:.0f} s"
        return ""

    @contextlib.contextmanager
    def told(self, summary: str, notifier: Notifier | None = None) -> Iterator[None]:
        """Tell systemd that the gateway is up and stays well, then that it ends; in a loop."""
        notifier = notifier or Notifier()
        notifier.ready(summary)
        watchdog = asyncio.create_task(self._keep_watchdog(notifier))
        try:
            yield
        finally:
            watchdog.cancel()
            notifier.stopping()

    async def _keep_watchdog(self, notifier: Notifier) -> None:
        """Feed the watchdog while every worker works; return where there is none."""
        pause = notifier.watchdog_seconds / 3
        wrong = ""
        while pause:
            before, wrong = wrong, self.unfit(time.monotonic())
            if not wrong:
                notifier.alive()
            if wrong != before:
                notifier.status(wrong or "at work again")
            await asyncio.sleep(pause)


def _queue(number: int, limit: int) -> QueueVitals:
    columns = netlink.listed("queue", number)
    # Columns of net/netfilter/nfnetlink_queue.c, seq_show(); none where nobody has bound it.
    waiting, overflowed, unread = (int(columns[at]) if len(columns) > at else 0 for at in (2, 5, 6))
    return QueueVitals(waiting, limit, overflowed, unread)
