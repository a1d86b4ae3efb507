"""The events of a Docker engine between the stream and those who deal with them."""

import asyncio
from collections.abc import AsyncIterator

from davylamp.engines.docker_model import UNREADABLE, Event
from davylamp.errors import EngineError

_WAITING = 10_000
_NOTED = 10_000
_LEAD = 10.0
"""A container is put on its networks at most so long before its start."""


class Waiting:
    """Events that have come and are not dealt with; bounded, for an engine drops a slow reader's.

    What does not fit is forgotten, and an unreadable event stands for it.
    """

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Event | EngineError] = asyncio.Queue(_WAITING + 1)

    async def fill(self, events: AsyncIterator[Event]) -> None:
        """Take in events until there are no more, and then say why."""
        last = EngineError("the engine ended its stream of events")
        try:
            async for event in events:
                if self._queue.qsize() < _WAITING - 1:
                    self._queue.put_nowait(event)
                elif self._queue.qsize() < _WAITING:
                    self._queue.put_nowait(Event(type=UNREADABLE))
        except EngineError as error:
            last = error
        self._queue.put_nowait(last)

    async def next(self, seconds: float) -> Event | None:
        """Return the next, or None after that time; raise EngineError where no more will come."""
        try:
            event = await asyncio.wait_for(self._queue.get(), seconds)
        except TimeoutError:
            return None
        if isinstance(event, EngineError):
            raise event
        return event


class Notes:
    """When events said that things happened; forgotten with the container, or when they are old."""

    def __init__(self) -> None:
        self._died: dict[str, float] = {}
        self._started: dict[str, float] = {}
        self._connected: dict[tuple[str, str], float] = {}
        self._disconnected: dict[tuple[str, str], float] = {}

    def take(self, event: Event, offset: float) -> None:
        """Note an event's time."""
        container, at = event.container_id, event.at + offset
        match event.type, event.action:
            case ("container", "die"):
                _keep(self._died, container, at)
            case ("container", "start"):
                _keep(self._started, container, at)
            case ("network", "connect"):
                _keep(self._connected, (container, event.actor.id), at)
            case ("network", "disconnect"):
                _keep(self._disconnected, (container, event.actor.id), at)

    def end(
        self, container: str, default: float, *, after: float = 0.0, before: float = float("inf")
    ) -> float:
        """Return when a container died last, if that is known and between those times."""
        died = self._died.get(container)
        return died if died is not None and after <= died <= before else default

    def since(self, container: str, network: str, started: float) -> float:
        """Return since when a container that started then has had its place on a network.

        When it was put there counts once its start has been heard of: then whatever was heard
        before that is older than this life or belongs to it.
        """
        place = (container, network)
        connected = self._connected.get(place, 0.0)
        left = self._disconnected.get(place, 0.0)
        if left > connected:  # it is on the network again, and the event is still to come
            return max(left, started)
        if connected > started:
            return connected
        heard = self._started.get(container, 0.0) >= started
        over = connected <= self._died.get(container, 0.0) <= started
        return connected if heard and not over and connected >= started - _LEAD else started

    def left(self, container: str, network: str, since: float, default: float) -> float:
        """Return when a container left a network that it had joined then."""
        left = self._disconnected.get((container, network), 0.0)
        return left if left >= since else max(since, default)

    def forget(self, container: str) -> None:
        """Drop what is noted of a container that is no more, but for its end."""
        for notes in (self._connected, self._disconnected):
            for key in [key for key in notes if key[0] == container]:
                del notes[key]


def _keep[K](notes: dict[K, float], key: K, at: float) -> None:
    notes[key] = max(at, notes.pop(key, 0.0))
    if len(notes) > _NOTED:
        del notes[next(iter(notes))]
