"""How a gateway learns whose a flow is that comes from a host with an agent.

An alert waits, at most ``WAIT_SECONDS``, for the translation of its flow; the verdict was carried
out long before. What the store does not know by then is asked again at growing intervals, so that a
translation that came late still names its flow.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from davylamp.attribution.hosts.model import SOURCE, Agent, Chosen, Flow, choose
from davylamp.attribution.hosts.operations import HostOperations
from davylamp.attribution.model import Attribution, Grade
from davylamp.attribution.naming import AddressNamer
from davylamp.attribution.store import AsyncStore
from davylamp.attribution.table import LineageTable
from davylamp.errors import LineageUnavailable
from davylamp.events import AlertEvent

WAIT_SECONDS = 2.5
CAPACITY = 10_000
"""Questions that are kept, with their answers; the oldest give way."""
_AGENTS_EVERY = 2.0
_BATCH = 256
_FIRST, _LAST = 0.05, 5.0
_FOR = 60.0


@dataclass(slots=True)
class _Question:
    """Whose a flow was at a time; when it was asked first, when next and at what interval."""

    flow: Flow
    at: float
    asked: float
    due: float
    pause: float = _FIRST
    chosen: Chosen = Chosen(reason="the lineage store has not answered")  # noqa: RUF009 - frozen


class HostNamer:
    """Names alerts: those from an agent's host by their flow's translation, others by address.

    ``clock`` gives seconds since the epoch.
    """

    def __init__(self, table: LineageTable, store: AsyncStore, clock: Callable[[], float]) -> None:
        self._table = table
        self._plain = AddressNamer(table)
        self._store = store
        self._operations = HostOperations.beside(store.operations)
        self._clock = clock
        self._hosts: Mapping[str, str] = {}
        self._questions: OrderedDict[tuple[Flow, float], _Question] = OrderedDict()
        self._open: OrderedDict[tuple[Flow, float], _Question] = OrderedDict()
        self._news = asyncio.Event()

    def settled(self, alert: AlertEvent) -> bool:
        """Tell whether the translation is known, or has been waited for long enough."""
        if alert.src_ip not in self._hosts:
            return True
        question = self._question(alert)
        answered = question.chosen.translation is not None
        return answered or self._clock() - question.asked >= WAIT_SECONDS

    def attribute(self, alert: AlertEvent, opened: float) -> Attribution:
        """Say whose an alert is; never surer than `observed` where a translation says so."""
        host = self._hosts.get(alert.src_ip)
        if host is None:
            return self._plain.attribute(alert, opened)
        chosen = self._question(alert).chosen
        if chosen.translation is None:
            return Attribution(Grade.UNKNOWN, reason=chosen.reason)
        found = self._table.attribute(chosen.translation.address, opened)
        if found.binding is None:
            address = chosen.translation.address
            return Attribution(Grade.UNKNOWN, reason=f"{address}: {found.reason}")
        source = f"{SOURCE}{chosen.translation.host}"
        return Attribution(
            max(found.grade, Grade.OBSERVED, key=lambda grade: grade.rank),
            msgspec.structs.replace(found.binding, source=source),
            found.call,
            found.candidates,
            found.reason,
        )

    async def run(self, on_news: Callable[[], None]) -> None:
        """Ask until cancelled; ``on_news`` is called when an answer came that was not there."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_hosts(on_news))
            group.create_task(self._keep_asking(on_news))

    async def _keep_hosts(self, on_news: Callable[[], None]) -> None:
        while True:
            with contextlib.suppress(LineageUnavailable):
                agents = await self._store.run(self._operations.agents())
                # Where two claim an address, the one heard last has it.
                heard = sorted(agents.values(), key=lambda each: each.seen)
                hosts = {address: one.name for one in heard for address in one.addresses}
                if hosts.keys() != self._hosts.keys():
                    on_news()
                self._hosts = hosts
            await asyncio.sleep(_AGENTS_EVERY)

    async def _keep_asking(self, on_news: Callable[[], None]) -> None:
        while True:
            await self._news.wait()
            now = self._clock()
            due = [each for each in self._open.values() if each.due <= now][:_BATCH]
            if due and await self._ask(due):
                on_news()
            if not self._open:
                self._news.clear()
            elif len(due) < _BATCH:
                await asyncio.sleep(_FIRST)

    async def _ask(self, due: list[_Question]) -> bool:
        """Ask the store; say whether any answer came."""
        now = self._clock()
        try:
            found = await self._store.run(self._operations.ask([each.flow for each in due]))
            hosts = {one.host for several in found for one in several}
            agents = await self._store.run(self._operations.agents_named(hosts))
        except LineageUnavailable:
            found, agents = None, dict[str, Agent]()
        news = False
        for index, each in enumerate(due):
            each.due, each.pause = now + each.pause, min(2 * each.pause, _LAST)
            if found is not None:
                host = self._hosts.get(each.flow.source, "")
                each.chosen = choose(found[index], agents, host, each.at)
            answered = each.chosen.translation is not None
            news = news or answered
            if answered or now - each.asked > _FOR:
                self._open.pop((each.flow, each.at), None)
        return news

    def _question(self, alert: AlertEvent) -> _Question:
        flow = Flow(
            alert.proto.lower(), alert.src_ip, alert.src_port, alert.dest_ip, alert.dest_port
        )
        at = datetime.fromisoformat(alert.timestamp).timestamp()
        key = flow, at
        known = self._questions.get(key)
        if known is None:
            now = self._clock()
            known = self._questions[key] = self._open[key] = _Question(flow, at, now, now)
            self._news.set()
            if len(self._questions) > CAPACITY:
                oldest, _ = self._questions.popitem(last=False)
                self._open.pop(oldest, None)
        return known
