"""A Docker engine as a source: which container has which address, as the engine itself says.

The strategy: events only say where to look. What is written is what the engine says of a container
when it is asked, so events that come twice, late or never do no lasting harm; their times make the
intervals exact. An engine keeps 256 events and drops those of a slow reader, so on every
connection, and once in a while, all that runs is listed and what was written is put right.

An address is a container's from the moment it was put on the network, which is before its first
process runs, until the engine saw that process die.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import batched

from davylamp.attribution.model import Binding, Grade, lifecycle_id
from davylamp.attribution.sources.docker_events import Notes, Waiting
from davylamp.attribution.sources.facts import (
    ENGINE_LABEL,
    described,
    epoch,
    label_names,
    plain,
)
from davylamp.attribution.sources.source import Health, Ledger
from davylamp.engines.docker import DockerEngine
from davylamp.engines.docker_model import UNREADABLE, Attachment, Container, Event
from davylamp.errors import ConfigError

_ACTIONS = ("start", "die", "destroy", "rename", "connect", "disconnect")
_FILTERS = {"type": ("container", "network"), "event": _ACTIONS}
_BACKLOG = 3600.0
_AGAIN = 300.0
_SILENCE = 30.0
_AT_ONCE = 8

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DockerSettings:
    """Which networks count (names or ids; none named: all), and how labels are read.

    ``names`` gives labels other than ours for fields. ``clock_offset``: what to add to the engine's
    times, in seconds; None measures it.
    """

    networks: frozenset[str] = frozenset()
    names: Mapping[str, str] = field(default_factory=dict)
    clock_offset: float | None = None


@dataclass(slots=True)
class _Life:
    """A container that runs: its start, and the network and begin of each address written."""

    lifecycle: str
    name: str
    started: float
    holds: dict[str, tuple[str, float]]


class DockerSource:
    """The source. ``clock`` gives seconds since the epoch."""

    name = "docker"

    def __init__(
        self,
        engine: DockerEngine,
        settings: DockerSettings | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._settings = settings or DockerSettings()
        self._clock = clock

    async def run(self, ledger: Ledger, health: Health) -> None:
        """Follow the engine until it goes away; raise EngineError or LineageUnavailable then."""
        try:
            await _Following(self._engine, self._settings, self._clock, ledger).run(health)
        finally:
            await self._engine.close()


class _Following:
    """One connection to the engine, and what is known through it. All times are ours."""

    def __init__(
        self,
        engine: DockerEngine,
        settings: DockerSettings,
        clock: Callable[[], float],
        ledger: Ledger,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._names = label_names(settings.names)
        self._clock = clock
        self._ledger = ledger
        self._mark = ""
        self._offset = 0.0
        self._lives: dict[str, _Life] = {}
        self._notes = Notes()

    async def run(self, health: Health) -> None:
        """Put everything right, then follow."""
        now = await self._measure()
        async for event in self._engine.events(since=now - _BACKLOG, until=now, filters=_FILTERS):
            self._notes.take(event, self._offset)
        async with self._stream(now) as waiting:
            await self._reconcile()
            health.begun()
            checked = self._clock()
            while True:
                heard = await waiting.next(_SILENCE)
                if heard is None:
                    await self._measure()  # also shows that it is there
                elif heard.type != UNREADABLE:
                    await self._heard(heard)
                    health.last_event = self._clock()
                lost = heard is not None and heard.type == UNREADABLE
                if lost or not 0 <= self._clock() - checked < _AGAIN:
                    await self._reconcile()
                    checked = self._clock()

    @contextlib.asynccontextmanager
    async def _stream(self, since: float) -> AsyncIterator[Waiting]:
        waiting = Waiting()
        events = self._engine.events(since=since, filters=_FILTERS)
        reading = asyncio.create_task(waiting.fill(events))
        try:
            yield waiting
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading

    async def _measure(self) -> float:
        """Learn which engine this is and how its clock stands to ours; return its time."""
        asked = self._clock()
        info = await self._engine.info()
        answered = self._clock()
        self._mark = plain(f"{info.name}/{info.id.replace(':', '')[:12]}")
        engine = epoch(info.system_time) or answered
        # Its clock is right if it could have read that time while we waited.
        measured = min(max(engine, asked), answered) - engine
        chosen = self._settings.clock_offset
        self._offset = measured if chosen is None else chosen
        return engine

    # -- what happens -----------------------------------------------------------------------

    async def _heard(self, event: Event) -> None:
        container, at = event.container_id, event.at + self._offset
        self._notes.take(event, self._offset)
        match event.type, event.action:
            case ("container", "die"):
                await self._ended(container, at)
            case ("container", "destroy"):
                await self._ended(container, at)
                self._notes.forget(container)
            case ("container", "start"):
                await self._look(container)
            case ("container", "rename") | ("network", _) if container in self._lives:
                await self._look(container)

    async def _look(self, container: str) -> None:
        """Ask what a container is now, and write that."""
        try:
            found = await self._engine.inspect(container)
        except ConfigError:  # an event whose container has no possible id
            return
        if found is not None:
            await self._take(found)
        else:
            await self._ended(container, self._notes.end(container, self._clock()))

    async def _take(self, found: Container) -> None:
        started = epoch(found.state.started_at)
        if not found.state.running or not started:
            await self._over(found, started)
            return
        # By the engine's own time, so that every gateway gives it the same id.
        lifecycle = lifecycle_id(found.id, started)
        begun = started + self._offset
        life = self._lives.get(found.id)
        if life is not None and life.lifecycle != lifecycle:
            await self._ended(found.id, self._notes.end(found.id, begun, before=begun))
            life = None
        name = plain(found.plain_name)
        if life is None:
            life = self._lives[found.id] = _Life(lifecycle, name, begun, {})
        places = {ip: one for one in self._places(found) for ip in one.addresses}
        for ip in [ip for ip in life.holds if ip not in places]:
            network, since = life.holds.pop(ip)
            left = self._notes.left(found.id, network, since, self._clock())
            await self._ledger.release(ip, life.lifecycle, left)
        for ip, place in places.items():
            since = self._notes.since(found.id, place.network_id, begun)
            if ip not in life.holds or life.name != name or since < life.holds[ip][1]:
                await self._bind(found, ip, lifecycle, since)
                life.holds[ip] = (place.network_id, since)
        life.name = name

    async def _over(self, found: Container, started: float) -> None:
        """Write of a container that runs no more what can still be known."""
        ended = (epoch(found.state.finished_at) or started) + self._offset
        ended = self._notes.end(found.id, ended)
        if found.id in self._lives:
            await self._ended(found.id, ended)
        elif started and ended >= started + self._offset:
            # It was over before it was looked at; an engine forgets the addresses that it chose.
            lifecycle = lifecycle_id(found.id, started)
            for place in self._places(found):
                for ip in place.fixed_addresses:
                    since = self._notes.since(found.id, place.network_id, started + self._offset)
                    await self._bind(found, ip, lifecycle, since)
                    await self._ledger.release(ip, lifecycle, ended)

    async def _ended(self, container: str, at: float) -> None:
        """Release what a container held; an end before its start is that of an earlier life."""
        life = self._lives.get(container)
        if life is None or at < life.started:
            return
        del self._lives[container]
        for ip in life.holds:
            await self._ledger.release(ip, life.lifecycle, at)

    async def _bind(self, found: Container, ip: str, lifecycle: str, since: float) -> None:
        binding = Binding(
            ip=ip,
            lifecycle_id=lifecycle,
            valid_from=since,
            container=plain(found.plain_name),
            container_id=plain(found.id),
            image=plain(found.config.image),
            grade=Grade.OBSERVED,
            source=DockerSource.name,
            labels={ENGINE_LABEL: self._mark},
        )
        labels, environment = found.config.labels or {}, found.config.env or ()
        try:
            await self._ledger.bind(described(binding, labels, self._names, environment))
        except ConfigError as error:
            logger.warning("container %s is not bound: %s", found.id[:12], error)

    def _places(self, found: Container) -> list[Attachment]:
        wanted = self._settings.networks
        return [
            place
            for name, place in found.attachments.items()
            if not wanted or name in wanted or place.network_id in wanted
        ]

    # -- what is ----------------------------------------------------------------------------

    async def _reconcile(self) -> None:
        """Write all that runs, and release what was written of this engine and runs no more."""
        listed = [each.id for each in await self._engine.containers()]
        found: list[Container] = []
        for some in batched(listed, _AT_ONCE):
            answers = await asyncio.gather(*(self._engine.inspect(each) for each in some))
            found += [each for each in answers if each is not None]
        # Ends first: where the next holder is written before it, the last one's end is its start.
        for container in self._lives.keys() - {each.id for each in found}:
            await self._look(container)
        now = {(ip, life) for each in found for ip, life in self._running(each)}
        for claim in await self._ledger.held(DockerSource.name):
            mine = claim.labels.get(ENGINE_LABEL) == self._mark
            if mine and (claim.ip, claim.lifecycle_id) not in now:
                at = await self._end_of(claim)
                await self._ledger.release(claim.ip, claim.lifecycle_id, at)
        for life in self._lives.values():
            life.holds.clear()  # a store that has lost them is told again
        for each in found:
            await self._take(each)

    def _running(self, found: Container) -> Iterator[tuple[str, str]]:
        """Yield each address that a container has, with its lifecycle."""
        started = epoch(found.state.started_at)
        if found.state.running and started:
            for place in self._places(found):
                for ip in place.addresses:
                    yield ip, lifecycle_id(found.id, started)

    async def _end_of(self, claim: Binding) -> float:
        """Return when a container that was bound ceased to run, as far as that can be known."""
        container = claim.container_id
        noted = self._notes.end(container, 0.0, after=claim.valid_from)
        if noted:
            return noted
        found = None
        with contextlib.suppress(ConfigError):  # a record whose container has no possible id
            found = await self._engine.inspect(container)
        if found is not None:
            started, ended = epoch(found.state.started_at), epoch(found.state.finished_at)
            if ended >= started and ended + self._offset > claim.valid_from:
                return ended + self._offset
            if lifecycle_id(container, started) != claim.lifecycle_id:
                return max(claim.valid_from, started + self._offset)
        return max(claim.valid_from, self._clock())
