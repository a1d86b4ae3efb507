"""Actions carried out: each once, one at a time for each target, tried again where that may help.

Strategy. Planning is cheap and repeated with every alert; what was planned is claimed in the store
before the alert counts as delivered, and so it is done, by one gateway, once. A target that does
not answer holds up only what else is to be done to it. What was claimed when this gateway died is
taken up by it when it is back.
"""

import asyncio
import contextlib
import logging
import math
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping

from msgspec.structs import replace

from davylamp.actions.attempts import Attempts, Limits, failed
from davylamp.actions.executor import Executor
from davylamp.actions.model import Kind, Planned, Record, Status
from davylamp.actions.operations import ActionOperations
from davylamp.attribution.store import AsyncStore
from davylamp.errors import LineageUnavailable

_WAITING = 1_024
_KNOWN = 10_000
_AT_ONCE = 32
_LOOK_SECONDS = 5.0
_AWAY_SECONDS = 1.0

logger = logging.getLogger(__name__)


class ActionRunner:
    """Carries out what is submitted, in the name of a gateway.

    ``on_outcome`` is called with each record that is final, ``clock`` gives seconds since the
    epoch. ``dropped`` counts how often something was put off because too much was waiting.
    """

    def __init__(  # noqa: PLR0913 - what it does, with what, and who hears of it
        self,
        store: AsyncStore,
        executors: Mapping[Kind, Executor],
        *,
        name: str,
        dry_run: bool,
        limits: Limits,
        on_outcome: Callable[[Record], None],
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._operations = ActionOperations.beside(store.operations)
        self._attempts = Attempts(executors, limits, self._note, clock)
        self._name = name
        self._dry_run = dry_run
        self._limits = limits
        self._on_outcome = on_outcome
        self._clock = clock
        self._known: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._queues: dict[str, deque[Record]] = {}
        self._waiting = 0
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked = asyncio.Event()
        self.dropped = 0

    async def submit(self, planned: Iterable[Planned]) -> None:
        """Claim what is to be done about an incident; what was claimed before is passed over.

        Raises LineageUnavailable: then it is to be submitted again.
        """
        for one in planned:
            known = one.id, len(one.candidates)
            if known in self._known:
                continue
            record = await self._claimed(one)
            self._remember(known)
            if record is not None and record.status is Status.WOULD:
                self._say(record)
            elif record is not None:
                self._enqueue(record)

    def look(self) -> None:
        """Look now for what is asked to be undone."""
        self._asked.set()

    async def run(self) -> None:
        """Take up what was left, and what is asked to be undone, until cancelled."""
        left = math.inf  # of an earlier process of this name all, whatever time it had
        try:
            while True:
                with contextlib.suppress(LineageUnavailable):  # it is there later
                    await self._take_up(left or self._clock())
                    left = 0.0
                try:
                    await asyncio.wait_for(self._asked.wait(), _LOOK_SECONDS)
                except TimeoutError:
                    continue
                self._asked.clear()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _take_up(self, now: float) -> None:
        for record in await self._store.run(self._operations.due(now, self._name)):
            self._enqueue(record)
        await self._give_up()

    async def _give_up(self) -> None:
        """Say of what gateways began that have been gone for long that nothing came of it."""
        now = self._clock()
        for record in await self._store.run(self._operations.abandoned(now, self._name)):
            after = failed(record, f"gateway {record.gateway} has not come back to it")
            await self._end(record, replace(after, ended=now))

    async def _end(self, record: Record, after: Record) -> None:
        if await self._store.run(self._operations.change(record, after)):
            self._say(after)

    async def _claimed(self, planned: Planned) -> Record | None:
        """Return the record under which this gateway has it to do; None where it has not."""
        now = self._clock()
        would = self._dry_run
        record = Record(
            planned=planned,
            status=Status.WOULD if would else Status.RUNNING,
            gateway=self._name,
            at=now,
            ended=now if would else 0.0,
            outcome="a dry run: nothing was done" if would else "",
        )
        claim = self._operations.claim(record, now + self._limits.lease)
        return record if await self._store.run(claim) else None

    def _enqueue(self, record: Record) -> None:
        """Have a record's action done after what is to be done to its target already."""
        if self._waiting >= _WAITING:
            self.dropped += 1
            if self.dropped == 1:
                logger.error("too many actions wait; more are put off")
            return
        subject = record.planned.subject
        queue = self._queues.get(subject)
        if queue is not None:
            if record not in queue:
                queue.append(record)
                self._waiting += 1
            return
        self._queues[subject] = deque([record])
        self._waiting += 1
        task = asyncio.create_task(self._work(subject), name=f"davylamp-action-{subject}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, subject: str) -> None:
        """Do what waits for one target, in order, until nothing does."""
        queue = self._queues[subject]
        async with self._slots:
            while queue:
                try:
                    await self._handle(queue[0])
                except LineageUnavailable as error:
                    logger.warning("actions wait for the store: %s", error)
                    await asyncio.sleep(_AWAY_SECONDS)
                    continue
                except Exception:
                    logger.exception("an action could not be carried out")
                queue.popleft()
                self._waiting -= 1
        del self._queues[subject]

    async def _handle(self, record: Record) -> None:
        """Carry an action out, if it is still as it was read."""
        current = await self._store.run(self._operations.get(record.planned.id))
        if current == record and await self._note(record, record):
            await self._carry_out(record)

    async def _carry_out(self, record: Record) -> None:
        before, after = await self._attempts.make(record)
        while True:  # it is done: only the store has yet to hear of it
            try:
                return await self._end(before, after)
            except LineageUnavailable as error:
                logger.warning("what came of an action waits for the store: %s", error)
                await asyncio.sleep(_AWAY_SECONDS)

    async def _note(self, before: Record, after: Record) -> bool:
        """Put what has been found on record of an action that is in hand."""
        until = self._clock() + self._limits.lease
        return await self._store.run(self._operations.change(before, after, until))

    def _say(self, record: Record) -> None:
        planned = record.planned
        logger.info(
            "action %s on %s: %s (%s)", planned.kind, planned.target, record.status, record.outcome
        )
        self._on_outcome(record)

    def _remember(self, known: tuple[str, int]) -> None:
        self._known[known] = None
        while len(self._known) > _KNOWN:
            self._known.popitem(last=False)
