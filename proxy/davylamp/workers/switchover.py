"""All workers to another pack at once: everybody prepares, and only then everybody switches.

A worker that cannot prepare, or dies meanwhile, ends it: the old pack stays in force on all. After
the switch was decided there is no way back: a worker that does not follow is started again, and
starts with the new pack.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from davylamp.errors import PackError
from davylamp.updates.loading import PackSource
from davylamp.workers.orders import (
    DropOrder,
    PackOrder,
    PackReply,
    PrepareOrder,
    ReportOrder,
    SwitchOrder,
    TrialReport,
)

PREPARE_SECONDS = 120.0
_FOLLOW_SECONDS = 10.0
_POLL_SECONDS = 0.05

logger = logging.getLogger(__name__)


class Member(Protocol):
    """A supervised worker, as far as packs go."""

    name: str
    restarts: int

    def tell(self, order: PackOrder) -> bool:
        """Say an order; False where there is nobody to hear it now."""
        raise NotImplementedError

    def use(self, source: PackSource) -> None:
        """Begin with this pack from the next start on."""

    def start_again(self) -> None:
        """Kill it; it is started again."""


@dataclass(slots=True)
class _Round:
    """One stage: who has answered what."""

    number: int
    stage: str
    replies: dict[str, PackReply] = field(default_factory=dict)


class Switchover:
    """The workers of one gateway; `heard` is to be called with every answer of theirs."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = tuple(members)
        self._number = 0
        self._round = _Round(0, "")
        self._before: dict[str, int] = {}
        """How often each had been started again when it was asked to prepare."""
        self._killed = 0

    @property
    def ended(self) -> int:
        """How often workers have ended so far, but for those that did not follow."""
        return sum(member.restarts for member in self._members) - self._killed

    def heard(self, name: str, reply: PackReply) -> None:
        """Note a worker's answer, if it is one to what was asked last."""
        asked = self._round
        if reply.number == asked.number and reply.stage in (asked.stage, "failed"):
            asked.replies[name] = reply

    async def prepare(self, source: PackSource, flows: int = 0) -> None:
        """Have a pack compiled by all; raise PackError, and leave all as it was, where one cannot.

        It is tried on ``flows`` new flows in each worker from then on.
        """
        self._number += 1
        self._before = {member.name: member.restarts for member in self._members}
        order = PrepareOrder(number=self._number, source=source, flows=flows)
        try:
            await self._ask(order, "prepared", PREPARE_SECONDS)
        except PackError:
            self.drop()
            raise
        if len({reply.digest for reply in self._round.replies.values()}) > 1:
            self.drop()
            raise PackError("the signatures were changed while they were read; try again")

    async def report(self) -> TrialReport:
        """Return how the prepared pack did so far in all workers together.

        Raises PackError where one has ended since it prepared: it may be the pack's doing.
        """
        await self._ask(ReportOrder(number=self._number), "reported", _FOLLOW_SECONDS)
        return _added(
            [reply.trial for reply in self._round.replies.values() if reply.trial is not None]
        )

    async def switch(self, source: PackSource) -> float:
        """Put the prepared pack in force everywhere; return the longest pause of a worker's."""
        for member in self._members:
            member.use(source)
        self._round = asked = _Round(self._number, "switched")
        for member in self._members:
            member.tell(SwitchOrder(number=self._number))
        deadline = asyncio.get_running_loop().time() + _FOLLOW_SECONDS
        while len(asked.replies) < len(self._members):
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(_POLL_SECONDS)
        for member in self._members:
            reply = asked.replies.get(member.name)
            if reply is None or reply.stage != "switched":
                logger.error("%s did not follow to the new pack: started again", member.name)
                self._killed += 1
                member.start_again()
        return max((one.pause_seconds for one in asked.replies.values()), default=0.0)

    def drop(self) -> None:
        """Have everybody forget the prepared pack."""
        for member in self._members:
            member.tell(DropOrder(number=self._number))

    async def _ask(self, order: PackOrder, stage: str, seconds: float) -> None:
        """Say an order to all and wait for all answers; raise PackError for the first no."""
        self._round = asked = _Round(order.number, stage)
        deadline = asyncio.get_running_loop().time() + seconds
        for member in self._members:
            if not member.tell(order):
                raise PackError(f"{member.name} is being started; try again")
        while True:
            for name, reply in asked.replies.items():
                if reply.stage == "failed":
                    raise PackError(f"{name}: {reply.reason}")
            waiting = [one for one in self._members if one.name not in asked.replies]
            if not waiting:
                self._check_nobody_ended()
                return
            if asyncio.get_running_loop().time() > deadline:
                raise PackError(f"{waiting[0].name} did not answer for {seconds:g} s")
            self._check_nobody_ended()
            await asyncio.sleep(_POLL_SECONDS)

    def _check_nobody_ended(self) -> None:
        for member in self._members:
            if member.restarts != self._before[member.name]:
                raise PackError(f"{member.name} ended meanwhile; see the log, and try again")


def _added(reports: list[TrialReport]) -> TrialReport:
    extra: dict[str, int] = {}
    missing: dict[str, int] = {}
    for report in reports:
        for whole, part in ((extra, report.extra), (missing, report.missing)):
            for identity, count in part.items():
                whole[identity] = whole.get(identity, 0) + count
    return TrialReport(
        flows=sum(one.flows for one in reports),
        errors=sum(one.errors for one in reports),
        extra=extra,
        missing=missing,
        seconds=sum(one.seconds for one in reports),
        live_seconds=sum(one.live_seconds for one in reports),
    )
