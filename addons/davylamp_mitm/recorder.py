"""Where alerts go: lineage, incident and outputs, in a thread beside mitmproxy's event loop.

Strategy. The gateway's own desk and fan-out run here on an event loop of their own, so that no
disk and no Redis ever holds up a flow, and so that everything can be brought to an end from a hook
that may not wait for coroutines (mitmproxy calls `done` either way).
"""

import asyncio
import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from davylamp.alerts import AlertDesk
from davylamp.attribution.endpoint import parse_url
from davylamp.attribution.naming import AddressNamer
from davylamp.attribution.store import AsyncStore
from davylamp.attribution.sync import LineageSync
from davylamp.attribution.table import LineageTable
from davylamp.events import AlertEvent, AnyEvent
from davylamp.flow import FlowKey
from davylamp.outputs.fanout import FanOut
from davylamp.outputs.jsonl import JsonLinesFile, JsonLinesStream

if TYPE_CHECKING:
    from davylamp.outputs.sink import Sink

WORKER = "mitmproxy"
_END_SECONDS = 10.0

logger = logging.getLogger(__name__)


class Recorder:
    """Takes alerts from mitmproxy's thread; attributes, files and writes them in its own.

    ``events`` names a file, or ``-`` for standard output, or nothing. ``redis`` is the URL of the
    lineage store, or nothing. Raises ConfigError where either cannot be used.
    """

    def __init__(self, events: str, redis: str) -> None:
        if redis:
            parse_url(redis)
        self._redis = redis
        self._sinks: dict[str, Sink] = {}
        if events == "-":
            self._sinks["events"] = JsonLinesStream(sys.stdout.buffer)
        elif events:
            self._sinks["events"] = JsonLinesFile(Path(events))
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._ending: asyncio.Future[AnyEvent]
        self._desk: AlertDesk
        self._fanout: FanOut
        self._thread = threading.Thread(target=self._run, name="davylamp-recorder", daemon=True)

    def start(self) -> None:
        """Begin; return once alerts can be taken."""
        self._thread.start()
        self._ready.wait()

    def take(self, alert: AlertEvent) -> None:
        """Take an alert; it is written once it is known whose it is, or that nobody knows."""
        self._call(lambda: self._desk.take(WORKER, alert))

    def tell(self, event: AnyEvent) -> None:
        """Write an event that is nobody's alert."""
        self._call(lambda: self._fanout.publish(event))

    def block(self, key: FlowKey) -> None:
        """Block nothing: a mitmproxy of its own has no kernel's rules."""

    def stop(self, last: AnyEvent) -> None:
        """Write what was taken, and a last event behind it, and end."""
        self._call(lambda: self._ending.set_result(last))
        self._thread.join(_END_SECONDS)
        if self._thread.is_alive():
            logger.warning("davylamp: events could not be written in %s s", _END_SECONDS)

    def _call(self, action: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: so has the program
            self._loop.call_soon_threadsafe(action)

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ending = self._loop.create_future()
        self._fanout = FanOut(self._sinks)
        table = LineageTable()
        self._desk = AlertDesk(table, AddressNamer(table), self._fanout.publish, time.time)
        async with contextlib.AsyncExitStack() as stack:
            if self._redis:
                store = await stack.enter_async_context(AsyncStore(self._redis))
                stack.push_async_callback(_cancelled, asyncio.create_task(_follow(store, table)))
            else:
                table.confirm(float("inf"))  # nothing will ever be known: nothing is waited for
            desk = asyncio.create_task(self._desk.run())
            self._ready.set()
            last = await self._ending
            await _cancelled(desk)
            self._fanout.publish(last)
            await self._fanout.close()


async def _follow(store: AsyncStore, table: LineageTable) -> None:
    await LineageSync(store, table).run()


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
