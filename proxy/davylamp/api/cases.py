"""Incidents: listed, shown, exported, put to rest."""

import asyncio
from datetime import datetime
from math import isfinite, nan
from typing import Annotated
from urllib.parse import quote

import msgspec
from aiohttp import web

from davylamp.api.endpoint import Asked, Endpoint, NoQuery
from davylamp.api.model import IncidentPage, IncidentView, PacketPage, brief
from davylamp.api.packets import packets_of
from davylamp.api.scopes import Scope
from davylamp.api.sight import Sight
from davylamp.attribution.render import as_json
from davylamp.errors import ConfigError
from davylamp.events import Struct, rfc3339
from davylamp.incidents.bundle import Bundle, make_bundle
from davylamp.incidents.model import Incident, Status
from davylamp.incidents.operations import Place, Record
from davylamp.incidents.pcapfiles import joined
from davylamp.incidents.questions import Wanted, alerts_of, whose

_SCAN = 200
_SCANS = 10
"""A page looks at no more than ``_SCAN`` times ``_SCANS`` incidents, however narrow its filter."""
_BUNDLES = 2
"""Bundles that are made at a time: each may hold megabytes of packets."""

type _Name = Annotated[str, msgspec.Meta(max_length=512)]


class IncidentQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which incidents, as `davylamp incidents list` has it; ``after`` is a page's ``next``."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50
    after: Annotated[str, msgspec.Meta(max_length=160)] = ""
    status: Status | None = None
    run: _Name = ""
    experiment: _Name = ""
    container: _Name = ""
    since: Annotated[str, msgspec.Meta(max_length=40)] = ""


class BundleQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether the raw packets go with it; they hold secrets, and need the scope ``act``."""

    packets: bool = True


class Resolve(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why an incident is put to rest, and by whom; the caller's kind of credential by default."""

    note: Annotated[str, msgspec.Meta(max_length=500)] = ""
    by: Annotated[str, msgspec.Meta(max_length=80)] = ""


class CaseDesk:
    """Answers about incidents, out of the store."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight
        self._bundling = asyncio.Semaphore(_BUNDLES)

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the routes."""
        root = "/api/v1/incidents"
        return (
            Endpoint(
                method="GET",
                path=root,
                summary="Incidents, the one with the newest alert first",
                handle=self.listing,
                query=IncidentQuery,
                answer=IncidentPage,
            ),
            Endpoint(
                method="GET",
                path=f"{root}/{{id}}",
                summary="One incident, with the alerts that were kept",
                handle=self.show,
                answer=IncidentView,
            ),
            Endpoint(
                method="GET",
                path=f"{root}/{{id}}/packets",
                summary="The packets behind an incident, raw: they hold secrets",
                handle=self.packets,
                answer=PacketPage,
                scope=Scope.ACT,
            ),
            Endpoint(
                method="GET",
                path=f"{root}/{{id}}/bundle",
                summary="An incident as one zip, as `davylamp incidents export` makes it",
                handle=self.bundle,
                query=BundleQuery,
                answer="application/zip",
            ),
            Endpoint(
                method="POST",
                path=f"{root}/{{id}}/resolve",
                summary="Put an incident to rest; once is as good as twice",
                handle=self.resolve,
                body=Resolve,
                answer=Incident,
                scope=Scope.ACT,
            ),
        )

    async def listing(self, asked: Asked[IncidentQuery, None]) -> IncidentPage:
        """Return a page; the filter is applied to a bounded part of what there is."""
        query = asked.query
        wanted = Wanted(
            query.status, query.run, query.experiment, query.container, _utc(query.since)
        )
        found: list[Incident] = []
        after = _place(query.after)
        for _ in range(_SCANS):
            page = await self._sight.store.run(self._sight.incidents.page(after, _SCAN))
            for place, incident in page:
                after = place
                if incident is not None and wanted.takes(incident):
                    found.append(incident)
                if len(found) == query.limit:
                    return _page(found, after)
            if len(page) < _SCAN or (wanted.since and after and rfc3339(after.at) < wanted.since):
                return _page(found, None)
        return _page(found, after)

    async def show(self, asked: Asked[NoQuery, None]) -> IncidentView:
        """Return everything that is kept of one."""
        record = await self._record(asked.path["id"])
        return IncidentView(incident=record.incident, alerts=tuple(alerts_of(record)))

    async def packets(self, asked: Asked[NoQuery, None]) -> PacketPage:
        """Return its packets, decoded as far as their payloads."""
        record = await self._record(asked.path["id"])
        async with self._bundling:
            return await asyncio.to_thread(packets_of, record.incident.evidence)

    async def bundle(self, asked: Asked[BundleQuery, None]) -> web.Response:
        """Make a bundle, and note its manifest so that `verify` knows it."""
        with_packets = asked.query.packets
        if with_packets and Scope.ACT not in asked.caller.scopes:
            raise web.HTTPForbidden(
                text="the packets hold secrets and need the right to act; ask with packets=false"
            )
        record = await self._record(asked.path["id"])
        store = self._sight.store
        dossier = await store.run(store.operations.look_up(whose(record.incident)))
        lineage = None if dossier is None else as_json(dossier)

        def made() -> Bundle:
            packets = joined(record.incident.evidence) if with_packets else None
            return make_bundle(record, lineage, packets, rfc3339(self._sight.clock()))

        async with self._bundling:
            bundle = await asyncio.to_thread(made)
        name = record.incident.id
        await store.run(self._sight.incidents.exported(name, bundle.digest))
        told = f"attachment; filename*=UTF-8''{quote(name, safe='')}.zip"
        return web.Response(
            body=bundle.data,
            content_type="application/zip",
            headers={"Content-Disposition": told},
        )

    async def resolve(self, asked: Asked[NoQuery, Resolve]) -> Incident:
        """Put it to rest, as `davylamp incidents resolve` does."""
        said = asked.body
        if not (said.note.isprintable() and said.by.isprintable()):
            raise ConfigError("note and by are one line of text each")
        done = await self._sight.store.run(
            self._sight.incidents.resolve(
                asked.path["id"], said.by or asked.caller.name, said.note, self._sight.clock()
            )
        )
        if done is None:
            raise _unknown(asked.path["id"])
        return done.incident

    async def _record(self, incident_id: str) -> Record:
        record = await self._sight.store.run(self._sight.incidents.look_up(incident_id))
        if record is None:
            raise _unknown(incident_id)
        return record


def _unknown(incident_id: str) -> web.HTTPException:
    return web.HTTPNotFound(text=f"no incident {incident_id} is on record")


def _page(found: list[Incident], after: Place | None) -> IncidentPage:
    cursor = "" if after is None else f"{after.at!r}/{after.id}"
    return IncidentPage(incidents=tuple(map(brief, found)), next=cursor)


def _place(cursor: str) -> Place | None:
    if not cursor:
        return None
    at, _, name = cursor.partition("/")
    try:
        place = Place(float(at), name)
    except ValueError:
        place = Place(nan, name)
    if not isfinite(place.at):
        raise web.HTTPBadRequest(text="after is the `next` of an earlier page")
    return place


def _utc(since: str) -> str:
    if not since:
        return ""
    try:
        return rfc3339(datetime.fromisoformat(since).timestamp())
    except (ValueError, OverflowError):
        raise web.HTTPBadRequest(text="since is an RFC 3339 time") from None
