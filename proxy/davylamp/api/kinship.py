"""Lineage as it is on record: who held what, and which tool calls ran."""

import asyncio
from typing import Annotated

import msgspec
from aiohttp import web

from davylamp.api.endpoint import Asked, Endpoint
from davylamp.api.model import DossierView, LineagePage
from davylamp.api.sight import Sight
from davylamp.events import Struct

_AT_A_TIME = 2
"""Dossiers that are read at a time: that of a much used name has all its lifecycles' alerts."""


class LineageQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many members a list may have."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


class KinshipDesk:
    """Answers about containers, lifecycles and addresses."""

    def __init__(self, sight: Sight) -> None:
        self._store = sight.store
        self._looking = asyncio.Semaphore(_AT_A_TIME)

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the routes."""
        return (
            Endpoint(
                method="GET",
                path="/api/v1/lineage",
                summary="Who holds the addresses that changed last",
                handle=self.listing,
                query=LineageQuery,
                answer=LineagePage,
            ),
            Endpoint(
                method="GET",
                path="/api/v1/lineage/{subject}",
                summary="All that is on record about a container, lifecycle or address",
                handle=self.show,
                query=LineageQuery,
                answer=DossierView,
            ),
        )

    async def listing(self, asked: Asked[LineageQuery, None]) -> LineagePage:
        """Return current bindings."""
        found = await self._store.run(self._store.operations.listing(asked.query.limit))
        return LineagePage(bindings=tuple(found))

    async def show(self, asked: Asked[LineageQuery, None]) -> DossierView:
        """Return a dossier, the newest members of each list."""
        subject, limit = asked.path["subject"], asked.query.limit
        async with self._looking:
            dossier = await self._store.run(self._store.operations.look_up(subject))
        if dossier is None:
            raise web.HTTPNotFound(text=f"nothing is on record about {subject}")
        newest = dossier.bindings[-1]
        lists = (dossier.bindings, dossier.calls, dossier.incidents)
        return DossierView(
            subject=subject,
            kind=dossier.kind,
            container=newest.container,
            lifecycle_id=newest.lifecycle_id,
            record=dossier.record,
            bindings=dossier.bindings[-limit:],
            calls=dossier.calls[-limit:],
            alerts=dossier.incidents[-limit:],
            left_out=sum(max(0, len(one) - limit) for one in lists),
        )
