"""The gateway's mitmproxy workers, as one: started, heard, and what they ask of the kernel done."""

import asyncio
import contextlib
import datetime as dt
import importlib.util
import logging
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from davylamp.enforcement.nftset import KernelSets
from davylamp.errors import ConfigError, KernelError
from davylamp.events import AnyEvent, StatsEvent
from davylamp.interception.ca import ensure
from davylamp.interception.connections import connections_to
from davylamp.interception.process import MitmproxyWorker
from davylamp.interception.records import BlockRecord, QuestionRecord, Record
from davylamp.policy import Mode
from davylamp.workers.orders import AnswerRecord, Brief, PackReply

_TIDY_SECONDS = 3600.0
_DRAIN_SECONDS = 5.0
_LOOK_SECONDS = 0.1

logger = logging.getLogger(__name__)


class Interception:
    """So many workers on ports that follow each other, and the authority that they share.

    ``on_event`` is called with a worker's name and each event of its; ``on_ports`` with the ports
    that somebody listens on, whenever those change: at first, and at last, there are none.
    """

    def __init__(
        self,
        brief: Brief,
        folder: Path,
        on_event: Callable[[str, AnyEvent | PackReply], None],
        on_ports: Callable[[frozenset[int]], None] = lambda _: None,
    ) -> None:
        """Make the authority where there is none; raise ConfigError for what cannot work here."""
        if importlib.util.find_spec("mitmproxy") is None:
            raise ConfigError(
                "intercept.enabled needs mitmproxy: pip install 'davylamp[mitmproxy]', "
                "or turn it off"
            )
        config = brief.config
        ensure(folder, dt.datetime.now(dt.UTC))
        self._folder = folder
        self._on_event = on_event
        self._on_ports = on_ports
        self._enforcing = Mode(config.mode) is Mode.ENFORCE
        self._block_seconds = config.policy.block_seconds
        self._sets = KernelSets(config.rules.table)
        self.blocks = 0
        """Endpoints that workers had blocked."""
        self.workers = tuple(
            MitmproxyWorker(
                number,
                config.intercept.first_port + number,
                brief=brief,
                folder=folder,
                on_record=self._take,
                on_change=self._changed,
            )
            for number in range(config.intercept.workers)
        )

    @property
    def ports(self) -> frozenset[int]:
        """The ports that somebody listens on now."""
        return frozenset(worker.port for worker in self.workers if worker.listening)

    async def ready(self) -> None:
        """Wait until every worker has listened."""
        for worker in self.workers:
            await worker.ready.wait()

    async def run(self) -> None:
        """Keep all of them running until :meth:`stop`; raise KernelError where one cannot start."""
        tidying = asyncio.create_task(self._tidy())
        try:
            async with asyncio.TaskGroup() as group:
                for worker in self.workers:
                    group.create_task(worker.run())
        except* KernelError as errors:
            raise errors.exceptions[0] from None
        finally:
            tidying.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await tidying

    async def drain(self) -> None:
        """Wait a while for the connections that are open to end; no new ones are led here."""
        deadline = time.monotonic() + _DRAIN_SECONDS
        # The kernel tells nobody.
        while (count := connections_to(self.ports)) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)
        if count:
            logger.warning("%d connections through the proxies are broken off", count)

    async def stop(self) -> None:
        """End every worker, and wait until it is gone."""
        await asyncio.gather(*(worker.stop() for worker in self.workers))
        self._sets.close()

    def _take(self, worker: MitmproxyWorker, record: Record) -> None:
        match record:
            case BlockRecord():
                self._block(worker.name, record)
            case QuestionRecord():
                bound = self._sets.bound(*record.ends(), record.name)  # a ValueError as below
                worker.answer(AnswerRecord(number=record.number, bound=bound))
            case StatsEvent():
                self._on_event(worker.name, msgspec.structs.replace(record, worker=worker.name))
            case _:
                self._on_event(worker.name, record)

    def _block(self, name: str, record: BlockRecord) -> None:
        block = record.block()  # a ValueError is the end of the worker
        if not self._enforcing:
            return
        try:
            self._sets.block(block, self._block_seconds)
            self.blocks += 1
        except KernelError:
            logger.exception("%s: the kernel refused a set element", name)

    def _changed(self) -> None:
        self._on_ports(self.ports)

    async def _tidy(self) -> None:
        """Drop what an authority's change left once its days of grace are over."""
        while True:
            await asyncio.sleep(_TIDY_SECONDS)
            try:
                await asyncio.to_thread(ensure, self._folder, dt.datetime.now(dt.UTC))
            except ConfigError as error:
                logger.error("%s", error)  # noqa: TRY400 - it says what to do
