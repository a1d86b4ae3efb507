"""Conntrack's word on translated flows, into what is to be published of them. Pure.

The strategy: a translation is published as certain only for the time in which the kernel was heard
without a gap. Whatever the table shows that no event announced is known from then on; whatever it
no longer shows, though no event ended it, was certain until the last moment without a gap.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from socket import AF_INET, AF_INET6, inet_ntop

import msgspec

from davylamp.attribution.hosts.model import Flow, Translation
from davylamp.capture.conntrack_wire import Tracked

type Change = tuple[Flow, Translation]
"""What is to be published: of which flow, and what is now so."""

CAPACITY = 262_144


@dataclass(frozen=True, slots=True)
class _Live:
    """A flow, and when this agent came to know of it: its ``since`` may be long before that."""

    number: int
    translation: Translation
    known: float


class LiveFlows:
    """The translated flows of a host that live, bounded.

    ``host`` is its name. Only flows that leave under one of ``addresses`` (packed) count. Beyond
    ``capacity`` the oldest are no longer kept alive (``forgotten`` counts them). Times are epoch.
    """

    def __init__(self, host: str, addresses: Collection[bytes], capacity: int = CAPACITY) -> None:
        self._host = host
        self._addresses = frozenset(addresses)
        self._capacity = capacity
        self._live: OrderedDict[Flow, _Live] = OrderedDict()
        self._ended_meanwhile: set[int] | None = None
        self.watch = 0.0
        self.forgotten = 0
        self.elsewhere: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._live)

    def heard(self, tracked: Tracked, after: float | None, now: float) -> Change | None:
        """Take in one event; return what is to be published of it, if anything.

        It happened between these times, as far apart as it waited to be read: a flow is taken to
        have begun at the first, and to have ended at the last. In a gap the first is None: then it
        is of no watch until the table has confirmed it.
        """
        if not self._ours(tracked):
            return None
        flow = _flow(tracked)
        known = self._live.get(flow)
        if tracked.ended:
            if self._ended_meanwhile is not None:
                self._ended_meanwhile.add(tracked.number)
            return self._end(flow, now) if known and known.number == tracked.number else None
        if known is not None and known.number == tracked.number:
            return None
        if after is None:
            return flow, self._begin(flow, tracked, now, now, now)
        return flow, self._begin(flow, tracked, after, self.watch, now)

    def begin_listing(self) -> None:
        """Note that the table is going to be read: what ends meanwhile may still be in it."""
        self._ended_meanwhile = set()

    def listed(
        self, table: Iterable[Tracked], began: float, now: float, sure_until: float
    ) -> list[Change]:
        """Put right what is kept by the table, read from ``began`` on; return what has ended.

        All was heard without a gap until ``sure_until``. Where that is before ``began``, a new
        watch begins. What lives is to be published again, see :meth:`alive`.
        """
        gap = sure_until < began
        if gap:
            self.watch = now
        ended, self._ended_meanwhile = self._ended_meanwhile or set(), None
        there: dict[Flow, Tracked] = {
            _flow(each): each for each in table if self._ours(each) and each.number not in ended
        }
        over: list[Change] = []
        for flow, live in list(self._live.items()):
            found = there.get(flow)
            gone = found is None and live.known < began  # else it may be too young for the table
            if gone or (found is not None and found.number != live.number):
                over.append(self._end(flow, sure_until if gap else now))
            elif live.translation.watch != self.watch:
                over.append(self._watched_anew(flow, live))
        for flow, each in there.items():
            if flow not in self._live:
                self._begin(flow, each, now, self.watch, now)
        return over

    def alive(self) -> Iterator[Change]:
        """Yield all that lives, to be published again before the store forgets it."""
        for flow, live in list(self._live.items()):
            if self._live.get(flow) is live:
                yield flow, live.translation

    def _watched_anew(self, flow: Flow, live: _Live) -> Change:
        """Have a flow that lived through a gap be of the new watch; what was said before stands."""
        before = live.translation
        fresh = msgspec.structs.replace(before, since=self.watch, watch=self.watch)
        self._live[flow] = _Live(live.number, fresh, live.known)
        return flow, msgspec.structs.replace(before, until=self.watch)

    def _ours(self, tracked: Tracked) -> bool:
        if tracked.source[0] in self._addresses:
            return True
        if len(self.elsewhere) < 64:
            self.elsewhere.add(tracked.source[0])
        return False

    def _begin(
        self, flow: Flow, tracked: Tracked, since: float, watch: float, known: float
    ) -> Translation:
        inner, port = tracked.inner
        fresh = Translation(host=self._host, ip=_text(inner), port=port, since=since, watch=watch)
        self._live[flow] = _Live(tracked.number, fresh, known)
        self._live.move_to_end(flow)
        while len(self._live) > self._capacity:
            self._live.popitem(last=False)
            self.forgotten += 1
        return fresh

    def _end(self, flow: Flow, now: float) -> Change:
        before = self._live.pop(flow).translation
        return flow, msgspec.structs.replace(before, until=max(before.since, now))


def _flow(tracked: Tracked) -> Flow:
    source, source_port = tracked.source
    destination, destination_port = tracked.destination
    return Flow(tracked.proto, _text(source), source_port, _text(destination), destination_port)


def _text(packed: bytes) -> str:
    return inet_ntop(AF_INET if len(packed) == 4 else AF_INET6, packed)
