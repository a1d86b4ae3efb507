"""Alerts that were told before it was known whose they are, and are looked at again.

Verdict and alert wait for nobody, but the news of who holds an address, or of which tool call runs
there, may be on its way: a trainer registers after the start, a runtime's event is late. So an
alert without a sure name and a tool call is kept for a while, and when lineage changed it is
attributed anew, as of when its flow opened. A better answer, or another, is told as an event of its
own: what the alert said stays as it was said.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import batched

from davylamp.attribution.model import Grade
from davylamp.attribution.naming import Namer
from davylamp.events import AlertEvent, LineageEvent, LineageInfo, rfc3339

CAPACITY = 10_000
"""Alerts looked at again, at most; the oldest give way."""
_TICK = 0.5
_AT_ONCE = 100
"""Alerts attributed in one go: some milliseconds, for which all else waits."""


@dataclass(slots=True)
class _Told:
    """An alert as it was told, when its flow opened (epoch), and who it is by what is known now."""

    alert: AlertEvent
    opened: float
    told: float
    who: LineageInfo


class Latecomers:
    """Attributes alerts again for ``seconds`` after they were told.

    ``clock`` gives seconds since the epoch. ``publish`` takes an event for each better answer.
    """

    def __init__(
        self,
        namer: Namer,
        publish: Callable[[LineageEvent], None],
        clock: Callable[[], float],
        seconds: float,
    ) -> None:
        self._namer = namer
        self._publish = publish
        self._clock = clock
        self._seconds = seconds
        self._told: deque[_Told] = deque()
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._told)

    def take(self, alert: AlertEvent) -> None:
        """Keep an alert that was just told."""
        who = alert.lineage
        if not self._seconds or who is None or (_sure(who) and who.tool_call_id):
            return
        opened = datetime.fromisoformat(alert.flow_start).timestamp()
        self._told.append(_Told(alert, opened, self._clock(), who))
        if len(self._told) > CAPACITY:
            self._told.popleft()

    def heard(self) -> None:
        """Note that lineage has changed."""
        self._news.set()

    async def run(self) -> None:
        """Look again whenever there is news, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            await self.look_again()
            await asyncio.sleep(_TICK)

    async def look_again(self) -> None:
        """Attribute every alert that is kept anew, and tell what is better known by now."""
        now = self._clock()
        while self._told and now - self._told[0].told > self._seconds:
            self._told.popleft()
        for some in batched(tuple(self._told), _AT_ONCE):
            for one in some:
                fresh = self._namer.attribute(one.alert, one.opened).info()
                if _better(one.who, fresh):
                    self._publish(_event(one, fresh, now))
                    one.who = fresh
            await asyncio.sleep(0)


def _better(known: LineageInfo, fresh: LineageInfo) -> bool:
    """Tell whether a sure answer says more than what is known, or something else."""
    if not _sure(fresh):
        return False
    if not _sure(known) or fresh.lifecycle_id != known.lifecycle_id:
        return True
    return _rank(fresh) < _rank(known)


def _rank(who: LineageInfo) -> tuple[int, bool]:
    return Grade(who.grade).rank, not who.tool_call_id


def _sure(who: LineageInfo) -> bool:
    return Grade(who.grade).certain()


def _event(one: _Told, fresh: LineageInfo, now: float) -> LineageEvent:
    alert = one.alert
    return LineageEvent(
        timestamp=rfc3339(now),
        change="attributed",
        lineage=fresh,
        ip=alert.src_ip,
        incident_id=alert.incident_id,
        flow_id=alert.flow_id,
        community_id=alert.community_id,
        signature_id=alert.alert.signature_id,
        before=one.who,
    )
