"""The gateway, wired: kernel rules, workers, lineage and outputs. Reads like a table of contents.

Order of starting: workers bind their queues, then the rules that fill the queues go in, so that no
packet is queued for nobody. Order of ending: the rules go first, unless they are to be kept.

One that takes another's place (`davylamp.takeover`) starts so beside it, lays its rules over the
other's, and opens what only one may have once the other has ended.
"""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from davylamp import __version__
from davylamp.api.board import Board
from davylamp.api.server import serving_api
from davylamp.api.sight import Sight
from davylamp.attribution.hosts.asking import HostNamer
from davylamp.attribution.model import Change
from davylamp.attribution.place import Place
from davylamp.attribution.server import EmbeddedRedis
from davylamp.attribution.sources.source import StoreLedger
from davylamp.attribution.sources.supervised import SupervisedSources
from davylamp.attribution.store import AsyncStore
from davylamp.attribution.sync import LineageSync
from davylamp.attribution.table import LineageTable
from davylamp.checks import check
from davylamp.config import GatewayConfig
from davylamp.enforcement.kernel import Kernel
from davylamp.errors import DavylampError, KernelError
from davylamp.events import ActionEvent, AlertEvent, AnyEvent, LineageEvent, decode
from davylamp.health import Health
from davylamp.incidents.operations import IncidentOperations
from davylamp.interception.ca import authority_folder
from davylamp.interception.supervisor import Interception
from davylamp.metrics.book import MetricsBook
from davylamp.metrics.server import serving
from davylamp.outputs.fanout import FanOut
from davylamp.packs import PackKeeper
from davylamp.relay import Relay
from davylamp.response import Response
from davylamp.routes import RouteWatch
from davylamp.rulewatch import RuleWatch
from davylamp.sinks import sinks_of, try_file
from davylamp.sources import sources_of
from davylamp.systemd import Notifier
from davylamp.takeover.handing import HandingOver
from davylamp.takeover.launch import Launch
from davylamp.takeover.seat import beside, seat_of
from davylamp.takeover.taking import TakingOver
from davylamp.takeover.words import Here
from davylamp.wiring import lineage_url, place_of, ruleset_of, source_of, store_of, with_inside
from davylamp.workers.forked import Zygote
from davylamp.workers.orders import Brief, PackReply
from davylamp.workers.process import WorkerProcess
from davylamp.workers.switchover import Member, Switchover

_REDIS_WATCH_SECONDS = 1.0
_LOAD_SECONDS = 10.0

logger = logging.getLogger(__name__)


class Gateway:
    """One gateway in this network namespace."""

    def __init__(self, config: GatewayConfig, elder: TakingOver | None = None) -> None:
        """Check everything that can be checked before anything is touched.

        ``elder`` is the gateway at work whose place this one is to take. Raises ConfigError or
        PackError with what to change.
        """
        self._elder = elder
        if elder is not None:
            config = beside(config, elder.here.seat)
        self._kernel = Kernel(ruleset_of(config))
        self._config = config = with_inside(config)
        check(config)
        self._place = place_of(config)
        self._embedded = None if config.lineage.redis else EmbeddedRedis(self._place)
        self._store = AsyncStore(lineage_url(config))
        self._incidents = IncidentOperations.beside(self._store.operations)
        self._table = LineageTable()
        self._sources = SupervisedSources(sources_of(config), StoreLedger(self._store))
        self._board = Board(time.time)
        self._routes = RouteWatch(self._kernel)
        self._rules = RuleWatch(self._kernel, self._rules_restored)
        self._sync = LineageSync(self._store, self._table, on_change=self._learn)
        namer = HostNamer(self._table, self._store, time.time)
        self._relay = Relay(self._table, namer, time.time, config.lineage.late_seconds)
        self._ending = asyncio.Event()
        self._redis_due = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        """What this gateway does all the time; it ends where one of them does."""
        self._response: Response | None = None
        self._notifier = Notifier()
        self._handing = HandingOver(
            self._place.gateway, self._here(), self._kernel, self._succeeded
        )
        self._ports: asyncio.Queue[frozenset[int]] = asyncio.Queue()
        self._packs = PackKeeper(
            config, store_of(config), source_of(config) if config.signatures else None
        )
        self._brief = Brief(config=config, pack=self._packs.source)

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT, or until another gateway has this one's place.

        Raises KernelError if the kernel, a worker or the other refuses.
        """
        self._listen_to_signals()
        relay = self._relay

        def on_event(worker: str, event: AnyEvent | PackReply) -> None:
            if isinstance(event, PackReply):
                switchover.heard(worker, event)
            else:
                relay.from_worker(worker, event)

        zygote = Zygote(self._brief)
        workers = self._workers(zygote, on_event)
        interception = self._interception(on_event)
        members: list[Member] = [*workers, *(interception.workers if interception else ())]
        switchover = Switchover(members)
        processes = (zygote, *workers, *(interception.workers if interception else ()))
        health = Health(
            self._config,
            self._packs,
            self._kernel,
            self._table,
            self._rules,
            self._routes,
            processes,
        )
        async with contextlib.AsyncExitStack() as outlets, contextlib.AsyncExitStack() as stack:
            outlets.push_async_callback(self._store.close)
            outlets.callback(self._stop_redis)
            if self._elder is None:
                await self._open(outlets, health)
            else:
                stack.callback(self._elder.close)
            self._attend(stack, self._keep_lineage(), relay.run())
            judging = [asyncio.create_task(one.run()) for one in (zygote, *workers)]
            self._tasks += judging
            stack.push_async_callback(self._stop_workers, zygote, workers, judging)
            if interception is not None:
                self._attend(stack, self._keep_leading())
                self._tasks.append(asyncio.create_task(interception.run()))
                stack.push_async_callback(self._stop_proxies, interception)
            await self._until_ready(workers, interception)
            if self._elder is None:
                stack.callback(self._release_kernel)
                await asyncio.to_thread(self._kernel.apply)
            else:
                await self._take_over(self._elder)
                stack.callback(self._release_kernel)
                await self._open(outlets, health)
            assert self._response is not None
            self._attend(stack, self._response.run(), self._routes.run(), self._rules.run())
            logger.info("ready: %s", self._summary())
            for trouble in health.noted():
                logger.warning("%s", trouble)
            self._attend(stack, self._packs.watch(switchover, relay.publish))
            await stack.enter_async_context(self._handing.listening())
            with health.told(self._summary(), self._notifier):
                await self._until_end()
            logger.info("ending")
        self._handing.release()

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ending.set)
        loop.add_signal_handler(signal.SIGHUP, self._packs.look_again)
        loop.add_signal_handler(signal.SIGUSR2, Launch().begin)

    def _rules_restored(self) -> None:
        if self._response is not None:
            self._response.forgotten()

    async def _take_over(self, elder: TakingOver) -> None:
        """Put our rules over the other's, and wait until it has let go of all that was its."""
        await try_file(self._config.outputs)  # before there is no way back
        if not await self._sync.wait_loaded(_LOAD_SECONDS):
            logger.warning("lineage is not loaded; taking over without")
        await asyncio.to_thread(elder.take, self._kernel, self._here())
        logger.info("taken over from davylamp %s; it ends now", elder.here.version)
        await asyncio.to_thread(elder.wait_released)
        self._redis_due.set()

    def _here(self) -> Here:
        return Here(version=__version__, seat=seat_of(self._config), layout=self._kernel.layout)

    def _succeeded(self, pid: int) -> None:
        """Another gateway has our place: end, and leave the rules to it."""
        logger.info("another gateway has taken over (pid %d)", pid)
        self._notifier.succeeded_by(pid)
        self._ending.set()

    async def _open(self, stack: contextlib.AsyncExitStack, health: Health) -> None:
        """Open what only one gateway may have, and what others ask us on, until the stack ends."""
        spool = _spool_of(self._config, self._place)
        # First, for a file that cannot be opened is refused before anything is made.
        fanout = FanOut(sinks_of(self._config.outputs, spool, self._deliver))
        health.outputs = fanout.problems
        stack.enter_context(self._packs.held())
        given = self._config, self._kernel, self._store, self._table, spool
        self._response = response = Response(*given, self._relay.publish)
        stack.push_async_callback(response.close)
        stack.push_async_callback(fanout.close)
        book = MetricsBook(fanout.counters)
        book.follow(health.vitals)
        takers = book.count, fanout.publish, self._board.take, response.take, self._packs.heard
        self._relay.hand_to(*takers)
        if self._config.metrics.listen:
            listen = self._config.metrics.listen
            await stack.enter_async_context(
                serving(listen, book.exposition, health.wrong, health.noted)
            )
        if self._config.api.listen:
            await stack.enter_async_context(serving_api(self._sight(book, health)))
        if self._sources.health:
            self._attend(stack, self._keep_sources())

    def _sight(self, book: MetricsBook, health: Health) -> Sight:
        return Sight(
            config=self._config,
            packs=self._packs,
            store=self._store,
            sync=self._sync,
            table=self._table,
            book=book,
            board=self._board,
            rules=self._kernel,
            noted=health.noted,
            processes=health.processes,
            followed=self._sources.health.values(),
            clock=time.time,
        )

    def _workers(
        self, zygote: Zygote, on_event: Callable[[str, AnyEvent | PackReply], None]
    ) -> list[WorkerProcess]:
        queues = self._config.queues
        roles = [("queue", queues.first + number) for number in range(queues.workers)]
        roles.append(("sample", self._config.rules.sample_group))
        return [WorkerProcess(*role, self._brief, zygote, on_event) for role in roles]

    def _interception(
        self, on_event: Callable[[str, AnyEvent | PackReply], None]
    ) -> Interception | None:
        if not self._config.intercept.enabled:
            return None
        folder = authority_folder(self._place)
        return Interception(self._brief, folder, on_event, self._ports.put_nowait)

    async def _keep_leading(self) -> None:
        """Have the kernel lead connections to those proxies that listen."""
        while True:
            listening = await self._ports.get()
            try:
                await asyncio.to_thread(self._kernel.lead_to, listening)
            except KernelError as error:  # who puts the rules back leads there as well
                logger.error("connections cannot be led to %s: %s", sorted(listening), error)  # noqa: TRY400

    async def _deliver(self, line: bytes) -> None:
        assert self._response is not None
        event = decode(line)
        await self._store.record(event)
        match event:
            case AlertEvent():
                incident = await self._store.run(self._incidents.record(event))
                await self._response.about(incident)
            case ActionEvent():
                await self._store.run(self._incidents.note(event))
            case LineageEvent() if event.incident_id:
                for alert in await self._store.run(self._incidents.attribute(event)):
                    await self._store.run(self._store.operations.tag(alert))
                await self._response.about(event.incident_id)
            case _:
                pass

    async def _keep_lineage(self) -> None:
        """Keep the snapshot fresh, and a private Redis running, whatever becomes of it."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_redis())
            group.create_task(self._sync.run())

    def _learn(self, change: Change) -> None:
        """Tell whoever follows lineage of a change."""
        self._board.learn(change)
        if self._response is not None:
            self._response.heard(change)
        self._relay.heard()

    async def _keep_sources(self) -> None:
        """Have sources write once there is a store to write to."""
        await self._sync.loaded.wait()
        await self._sources.run()

    async def _keep_redis(self) -> None:
        if self._embedded is None:
            return
        said = ""
        while True:
            try:
                await asyncio.to_thread(self._embedded.start)
                said = ""
            except DavylampError as error:
                if str(error) != said:
                    said = str(error)
                    logger.error("lineage is not available: %s", said)  # noqa: TRY400 - no trace
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._redis_due.wait(), _REDIS_WATCH_SECONDS)
            self._redis_due.clear()

    def _stop_redis(self) -> None:
        if self._embedded is not None:
            self._embedded.stop()

    async def _until_ready(
        self, workers: list[WorkerProcess], interception: Interception | None
    ) -> None:
        """Wait until every worker is at work; raise what ended one that never was."""
        await self._until(_all_ready(workers, interception))

    async def _until_end(self) -> None:
        await self._until(self._ending.wait())

    async def _until(self, work: Coroutine[Any, Any, object]) -> None:
        """Wait for work to be done; raise what ended anything that this gateway does meanwhile."""
        awaited = asyncio.create_task(work)
        done, _ = await asyncio.wait([awaited, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        awaited.cancel()
        for task in done:
            task.result()

    async def _stop_workers(
        self, zygote: Zygote, workers: list[WorkerProcess], judging: list[asyncio.Task[None]]
    ) -> None:
        """End all workers, at once or, where others have what comes now, after what waits."""
        taken = self._handing.taken
        ended = (one.drain() if taken else one.stop() for one in workers)
        await asyncio.gather(zygote.stop(), *ended)
        await asyncio.gather(*judging, return_exceptions=True)

    async def _stop_proxies(self, interception: Interception) -> None:
        """End the proxies, at once or, where others have what comes now, after what is open."""
        if self._handing.taken:
            await interception.drain()
        await interception.stop()

    def _attend(self, stack: contextlib.AsyncExitStack, *work: Coroutine[Any, Any, None]) -> None:
        """Do all this until the stack's end cancels it."""
        for one in work:
            task = asyncio.create_task(one)
            stack.push_async_callback(_cancelled, task)
            self._tasks.append(task)

    def _release_kernel(self) -> None:
        """Let everything through at an end that was asked for.

        One that failed leaves the rules as one that was killed does: the exception policy holds.
        """
        keep = self._config.rules.keep_on_exit or self._handing.taken
        if self._ending.is_set() and not keep:
            self._kernel.remove()

    def _summary(self) -> str:
        queues = self._config.queues
        return (
            f"{self._config.mode}, {self._config.exception_policy}, "
            f"queues {queues.first} to {queues.first + queues.workers - 1}, "
            f"pack {self._packs.title}"
        )


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _all_ready(workers: list[WorkerProcess], interception: Interception | None) -> None:
    for worker in workers:
        await worker.ready.wait()
    if interception is not None:
        await interception.ready()


def _spool_of(config: GatewayConfig, place: Place) -> Path:
    if config.state_dir:
        return Path(config.state_dir).absolute() / "spool"
    return place.state.parent / "spool"
