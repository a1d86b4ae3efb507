"""Hears the kernel's connection tracking without a gap, and knows when there was one.

The table is read at the beginning, after every gap, and now and then: then what lives is published
again, before the store forgets it. Events are taken in while it is read.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from itertools import islice
from socket import AF_INET, AF_INET6, inet_ntop

from davylamp.agent.flows import CAPACITY, LiveFlows
from davylamp.agent.publisher import Publisher
from davylamp.capture.conntrack import ConntrackEvents, table
from davylamp.capture.conntrack_wire import Tracked
from davylamp.errors import KernelError

_LIST_EVERY = 300.0
"""Well within the time that the store keeps what lives."""
_DATAGRAMS = 256
_TICK = 0.25
_LISTING_TICK = 0.02
_AGAIN = 1.0
_LATE = 5.0
"""Events that waited for longer are as good as lost: less than the kernel tracks what is over."""

logger = logging.getLogger(__name__)


class Watch:
    """One connection to the kernel, made with this object: KernelError where it refuses.

    ``clock`` gives seconds since the epoch.
    """

    def __init__(self, flows: LiveFlows, publisher: Publisher, clock: Callable[[], float]) -> None:
        self._flows = flows
        self._publisher = publisher
        self._clock = clock
        self._events = ConntrackEvents()
        self._losses = self._lost()
        self._whole = False
        self._sure_until = publisher.seen
        self._told: set[bytes] = set()

    async def run(self) -> None:
        """Follow until cancelled; raise CaptureError where the socket is lost."""
        readable = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._events.fileno(), readable.set)
        listed = float("-inf")
        try:
            while True:
                readable.clear()
                more = self._drain()
                # Reading a large table costs time in which more may be lost: not at every gap.
                every = _LIST_EVERY if self._whole else _AGAIN
                if self._clock() - listed >= every:
                    await self._list()
                    listed = self._clock()
                elif more:
                    await asyncio.sleep(0)
                else:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(readable.wait(), _TICK)
        finally:
            loop.remove_reader(self._events.fileno())
            self._events.close()

    def _lost(self) -> tuple[int, int]:
        return self._events.overruns, self._publisher.gaps

    def _drain(self) -> bool:
        """Take in what has come; say whether more may be waiting."""
        now = self._clock()
        found, more = self._events.receive(_DATAGRAMS)
        after = self._sure_until if self._whole else now
        for each in found:
            change = self._flows.heard(each, after, now)
            if change is not None:
                self._publisher.put(change, self._sure_until)
        late = now - self._sure_until > _LATE
        if self._lost() != self._losses or (late and more):
            if self._whole:
                logger.warning("more connections than can be followed: the table is read anew")
            self._whole, self._losses = False, self._lost()
        elif self._whole and not more:
            self._sure_until = now
            self._publisher.heard_until(now)
        return more

    async def _list(self) -> None:
        """Read the table, and put right by it what is kept."""
        whole, losses, began = self._whole, self._losses, self._clock()
        self._flows.begin_listing()
        reading = asyncio.create_task(asyncio.to_thread(_rows))
        while not reading.done():
            more = self._drain()
            await asyncio.wait([reading], timeout=0 if more else _LISTING_TICK)
        try:
            rows = reading.result()
        except KernelError as error:
            logger.warning("%s; it is tried again", error)
            self._whole = False
            return
        if self._losses != losses:
            return  # there was a gap meanwhile: what was read may be older than that
        now = self._clock()
        for change in self._flows.listed(rows, began, now, began if whole else self._sure_until):
            self._publisher.put(change, self._sure_until)
        self._publisher.again(self._flows.alive())
        self._whole, self._sure_until = True, began
        self._tell_of_others()

    def _tell_of_others(self) -> None:
        for packed in self._flows.elsewhere - self._told:
            self._told.add(packed)
            text = inet_ntop(AF_INET if len(packed) == 4 else AF_INET6, packed)
            logger.info(
                "flows leave as %s too; name it with --host-address if gateways see it", text
            )


def _rows() -> list[Tracked]:
    return list(islice(table(), CAPACITY))
