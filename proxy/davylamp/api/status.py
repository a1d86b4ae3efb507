"""How the gateway is and what it does: health, statistics, flows, packs, metrics."""

import time
from collections.abc import Iterator
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec.structs import replace

from davylamp import __version__
from davylamp.api.endpoint import Asked, Endpoint, NoQuery
from davylamp.api.model import (
    FlowPage,
    Health,
    LineageHealth,
    PackBrief,
    PackPage,
    PackSignature,
    PackView,
    RedisHealth,
    RulesHealth,
    SourceHealth,
    Stats,
    VerdictCount,
    WorkerHealth,
    WorkerStats,
)
from davylamp.api.series import SLOT_SECONDS
from davylamp.api.sight import Sight
from davylamp.attribution.endpoint import shown_url
from davylamp.errors import LineageUnavailable
from davylamp.events import Struct, rfc3339
from davylamp.metrics.server import CONTENT_TYPE
from davylamp.signatures.pack import Pack


class FlowQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many flows, and of whom: ``about`` is an address, container or lifecycle."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    about: Annotated[str, msgspec.Meta(max_length=512)] = ""


class StatusDesk:
    """Answers about the gateway itself."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight
        self._began = sight.clock()
        self._shown: tuple[Pack, PackPage] | None = None

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the routes."""
        return (
            Endpoint(
                method="GET",
                path="/api/v1/health",
                summary="How the gateway, its workers, lineage, Redis and rules are",
                handle=self.health,
                answer=Health,
            ),
            Endpoint(
                method="GET",
                path="/api/v1/stats",
                summary="Throughput over fifteen minutes, verdicts, and each worker's counters",
                handle=self.stats,
                answer=Stats,
            ),
            Endpoint(
                method="GET",
                path="/api/v1/flows",
                summary="The flows that were judged last, clean ones left out",
                handle=self.flows,
                query=FlowQuery,
                answer=FlowPage,
            ),
            Endpoint(
                method="GET",
                path="/api/v1/packs",
                summary="The signature packs in force, with their signatures",
                handle=self.packs,
                answer=PackPage,
            ),
            Endpoint(
                method="GET",
                path="/metrics",
                summary="Everything that is counted, for Prometheus",
                handle=self.metrics,
                answer="text/plain",
            ),
        )

    async def health(self, _: Asked[NoQuery, None]) -> Health:
        """Say how everything is; what is wrong is in ``problems`` as well."""
        sight, now = self._sight, self._sight.clock()
        workers = tuple(
            WorkerHealth(
                name=one.name, alive=one.alive, ready=one.ready.is_set(), restarts=one.restarts
            )
            for one in sight.processes
        )
        fresh = sight.table.fresh_at
        lineage = LineageHealth(
            connected=sight.sync.connected,
            addresses=sight.table.addresses,
            reloads=sight.sync.reloads,
            confirmed_seconds=round(max(0.0, now - fresh), 3) if fresh > 0 else None,
            error=sight.sync.error,
        )
        redis = await self._redis()
        applied = sight.rules.applied_at
        sources = self._sources()
        found = tuple(_problems(workers, sources, lineage, redis))
        if not applied:
            found += ("the kernel's rules are not in force",)
        found += tuple(sight.noted())
        return Health(
            ok=not found,
            version=__version__,
            at=rfc3339(now),
            uptime_seconds=round(now - self._began, 3),
            workers=workers,
            lineage=lineage,
            redis=redis,
            sources=sources,
            rules=RulesHealth(
                table=sight.config.rules.table,
                mode=sight.config.mode,
                exception_policy=sight.config.exception_policy,
                age_seconds=round(now - applied, 3) if applied else None,
            ),
            pack=PackBrief(
                name=sight.pack.name,
                version=sight.pack.version,
                signatures=len(sight.pack.signatures),
            ),
            problems=found,
        )

    async def stats(self, _: Asked[NoQuery, None]) -> Stats:
        """Add up what the workers said last."""
        now = self._sight.clock()
        workers = tuple(
            WorkerStats(
                worker=one.worker,
                at=one.timestamp,
                seconds=one.seconds,
                packets=one.packets,
                bytes=one.bytes,
                flows=one.flows,
                alerts=one.alerts,
                counters=one.counters,
            )
            for one in self._sight.book.workers()
        )
        counted = self._sight.book.alerts()
        return Stats(
            at=rfc3339(now),
            packets=sum(one.packets for one in workers),
            bytes=sum(one.bytes for one in workers),
            flows=sum(one.flows for one in workers),
            cleared=sum(one.counters.get("cleared", 0) for one in workers),
            verdicts=tuple(
                VerdictCount(action=action, category=category, alerts=alerts)
                for (action, category), alerts in sorted(counted.items())
            ),
            workers=workers,
            series_seconds=SLOT_SECONDS,
            series=self._sight.board.series.samples(now),
        )

    async def flows(self, asked: Asked[FlowQuery, None]) -> FlowPage:
        """Return the ring, or what of it is about one container or address."""
        ring, about = self._sight.board.flows, asked.query.about
        found = ring.newest(len(ring))
        if about:
            found = tuple(
                one
                for one in found
                if about in {one.src_ip, one.dest_ip, one.incident_id}
                or (
                    one.lineage is not None
                    and about in {one.lineage.container, one.lineage.lifecycle_id}
                )
            )
        return FlowPage(flows=found[: asked.query.limit], kept=len(ring))

    async def packs(self, _: Asked[NoQuery, None]) -> PackPage:
        """Return what is in force; its page is made once for each pack."""
        pack = self._sight.pack
        if self._shown is None or self._shown[0] is not pack:
            self._shown = pack, PackPage(packs=(_pack_view(pack),))
        return self._shown[1]

    async def metrics(self, _: Asked[NoQuery, None]) -> web.Response:
        """Return the same exposition as ``metrics.listen``."""
        exposition = self._sight.book.exposition()
        return web.Response(body=exposition, headers={"Content-Type": CONTENT_TYPE})

    def _sources(self) -> tuple[SourceHealth, ...]:
        """Return who wrote bindings, and what is followed whether it wrote any or not."""
        found = self._sight.board.sources()
        for one in self._sight.followed:
            told = found.get(one.name, SourceHealth(name=one.name, changes=0))
            found[one.name] = replace(told, following=one.connected, error=one.error)
        return tuple(sorted(found.values(), key=lambda one: one.name))

    async def _redis(self) -> RedisHealth:
        store = self._sight.store
        url = shown_url(store.url)
        began = time.perf_counter()
        try:
            await store.run(store.operations.position())
        except LineageUnavailable as error:
            return RedisHealth(url=url, answers=False, error=str(error))
        taken = round((time.perf_counter() - began) * 1000, 3)
        return RedisHealth(url=url, answers=True, milliseconds=taken)


def _problems(
    workers: tuple[WorkerHealth, ...],
    sources: tuple[SourceHealth, ...],
    lineage: LineageHealth,
    redis: RedisHealth,
) -> Iterator[str]:
    for one in workers:
        if not one.alive:
            yield f"{one.name} is not running"
        elif not one.ready:
            yield f"{one.name} is not at work yet"
    for source in sources:
        if source.following is False:
            yield f"lineage source {source.name} is not following: {source.error or 'not yet'}"
    if not redis.answers:
        yield redis.error
    if not lineage.connected:
        yield "lineage is not kept up to date: attributions are stale"


def _pack_view(pack: Pack) -> PackView:
    return PackView(
        name=pack.name,
        version=pack.version,
        signatures=tuple(
            PackSignature(
                id=one.id,
                rev=one.rev,
                title=one.title,
                category=one.category.value,
                dialect=one.dialect,
                maturity=one.maturity.value,
                confidence=one.confidence,
                severity=one.severity,
                technique=one.technique,
                coins=one.coins,
            )
            for one in sorted(pack.signatures.values(), key=lambda each: each.id)
        ),
        lists={name: len(entries) for name, entries in sorted(pack.lists.items())},
    )
