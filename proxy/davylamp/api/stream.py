"""``/api/v1/events``: what happens, as it happens, as server-sent events (WHATWG HTML, 9.2)."""

import asyncio
import contextlib
import logging

from aiohttp import web

from davylamp import __version__
from davylamp.api.endpoint import Asked, Endpoint, NoQuery
from davylamp.api.hub import Hub, frame
from davylamp.api.model import FlowRecord, Hello, IncidentBrief, brief
from davylamp.api.problems import with_headers
from davylamp.api.sight import Sight
from davylamp.errors import LineageUnavailable
from davylamp.events import LineageEvent, rfc3339

LIFETIME = 3600.0
"""Seconds after which a client has to come again, and show that it still may."""
_HEARTBEAT_SECONDS = 2.0
_LOOK_SECONDS = 0.5
_WATCHED = 200
_RETRY = b"retry: 1000\n\n"

logger = logging.getLogger(__name__)


class IncidentWatch:
    """Publishes incidents of the store that changed, whoever changed them.

    The store is shared by gateways and the command line, so it is asked, and not the events of
    this gateway alone: the versions of the newest `_WATCHED` incidents, twice a second, while
    anybody listens.
    """

    def __init__(self, sight: Sight) -> None:
        self._sight = sight
        self._versions: dict[str, str] = {}
        self._looking = asyncio.Lock()

    async def run(self, hub: Hub) -> None:
        """Watch until cancelled; no failure of Redis ends it."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if hub:
                with contextlib.suppress(LineageUnavailable):  # health says so, and we ask again
                    await self.look(hub)

    async def look(self, hub: Hub, *, quietly: bool = False) -> None:
        """Publish what changed since the last look, or ``quietly`` only take note of it.

        Raises LineageUnavailable.
        """
        store, incidents = self._sight.store, self._sight.incidents
        async with self._looking:
            versions = await store.run(incidents.versions(_WATCHED))
            changed = [
                one for one, version in versions.items() if self._versions.get(one) != version
            ]
            for incident_id in () if quietly else reversed(changed):
                held = await store.run(incidents.held(incident_id))
                if held is not None:
                    hub.publish("incident", brief(held.incident))
            self._versions = versions


class StreamDesk:
    """Serves the stream."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight
        self._hub = sight.board.hub
        self._watch = IncidentWatch(sight)

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the route."""
        return (
            Endpoint(
                method="GET",
                path="/api/v1/events",
                summary="Incidents, flows and changes of lineage as they come, as an event stream",
                handle=self.stream,
                answer="text/event-stream",
                stream=True,
                events={
                    "hello": Hello,
                    "incident": IncidentBrief,
                    "flow": FlowRecord,
                    "lineage": LineageEvent,
                },
            ),
        )

    async def run(self) -> None:
        """Watch the store until cancelled."""
        await self._watch.run(self._hub)

    async def stream(self, asked: Asked[NoQuery, None]) -> web.StreamResponse:
        """Send events until the client goes, is too slow, or has been here for long enough."""
        request = asked.request

        def cut() -> None:
            if request.transport is not None:
                request.transport.abort()

        subscriber = self._hub.subscribe(cut)
        if subscriber is None:
            raise web.HTTPServiceUnavailable(
                text="too many clients listen already", headers={"Retry-After": "10"}
            )
        try:
            # What is there before the first event is the client's to load; nothing falls between.
            with contextlib.suppress(LineageUnavailable):
                await self._watch.look(self._hub, quietly=len(self._hub) == 1)
            answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            with_headers(answer)
            await answer.prepare(request)
            hello = Hello(at=rfc3339(self._sight.clock()), version=__version__)
            with contextlib.suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(LIFETIME):
                    await answer.write(_RETRY + frame("hello", hello))
                    while not subscriber.ended:
                        await answer.write(await subscriber.take(_HEARTBEAT_SECONDS) or b":\n\n")
            return answer
        finally:
            self._hub.leave(subscriber)
