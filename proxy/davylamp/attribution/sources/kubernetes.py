"""Kubernetes as a source: which pod has which address, as the API server says.

The strategy is the API's own: list, then watch from where the list was; when that history is no
longer kept (410 Gone) list again, and put right what was written. A pod is known by its uid, so the
end of one does not touch another of its name. One address is one pod's from the moment its
network was ready until it has ended or is gone; containers that restart inside keep it.

Times in the API are whole seconds by the clocks of nodes. Of an end that is seen in the watch, ours
counts.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import msgspec

from davylamp.attribution.model import Binding, Grade, lifecycle_id
from davylamp.attribution.sources.facts import (
    ENGINE_LABEL,
    described,
    epoch,
    label_names,
    plain,
)
from davylamp.attribution.sources.source import Health, Ledger
from davylamp.engines.kubernetes import KubernetesApi
from davylamp.engines.kubernetes_model import Pod
from davylamp.errors import ConfigError

_NETWORK_READY = "PodReadyToStartContainers"
"""The condition that tells when a pod had its network (Kubernetes 1.29 and later)."""

_FREED = 65_536
_SHORT = 1.0
_FIRST, _LAST = 0.05, 5.0
"""After a watch shorter than that, the pause before the next; it grows while nothing is learnt."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KubernetesSettings:
    """Which pods count, and how their labels and annotations are read.

    ``namespace`` and ``selector`` are empty for all; ``names`` gives labels or annotations
    other than ours for fields.
    """

    namespace: str = ""
    selector: str = ""
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Life:
    """What was written of a pod."""

    lifecycle: str
    since: float
    addresses: frozenset[str]
    facts: Binding


class KubernetesSource:
    """The source. ``clock`` gives seconds since the epoch."""

    name = "kubernetes"

    def __init__(
        self,
        api: KubernetesApi,
        url: str,
        settings: KubernetesSettings | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._settings = settings or KubernetesSettings()
        self._names = label_names(self._settings.names)
        self._clock = clock
        where = urlsplit(url).netloc.rpartition("@")[2]
        asked = f"{where}/{self._settings.namespace}?{self._settings.selector}"
        self._mark = plain(asked)
        self._lives: dict[str, _Life] = {}
        self._freed: dict[str, float] = {}
        self._told: dict[tuple[str, str], float] = {}

    async def run(self, ledger: Ledger, health: Health) -> None:
        """Follow the API server until it fails; raise EngineError or LineageUnavailable then."""
        self._lives.clear()
        version, pause = "", _FIRST
        try:
            while True:
                before = version or await self._list(ledger, health)
                begun = time.monotonic()
                version = await self._watch(ledger, health, before) if before else ""
                if time.monotonic() - begun >= _SHORT:
                    pause = _FIRST
                    continue
                pause = _FIRST if version not in {"", before} else min(2 * pause, _LAST)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        finally:
            await self._api.close()

    async def _list(self, ledger: Ledger, health: Health) -> str:
        """Put right what was written; return where to watch from."""
        listed = await self._api.pods(self._settings.namespace, self._settings.selector)
        await self._reconcile(ledger, listed.items)
        health.begun()
        return listed.metadata.resource_version

    async def _watch(self, ledger: Ledger, health: Health, version: str) -> str:
        """Follow one watch; return where to go on from, or '' where a list is needed."""
        namespace, selector = self._settings.namespace, self._settings.selector
        async for kind, pod in self._api.watch(version, namespace, selector):
            match kind:
                case "ADDED" | "MODIFIED":
                    await self._take(ledger, pod, self._clock())
                case "DELETED":
                    await self._end(ledger, pod.metadata.uid, self._clock())
                case "BOOKMARK":
                    pass
                case _:
                    return ""
            version = pod.metadata.resource_version or version
            if kind != "BOOKMARK":
                health.last_event = self._clock()
        return version

    async def _reconcile(self, ledger: Ledger, pods: tuple[Pod, ...]) -> None:
        """Write all that runs; release what was written by this source and is no more."""
        now = self._clock()
        known = {pod.metadata.uid for pod in pods}
        for uid in self._lives.keys() - known:
            await self._end(ledger, uid, now)
        ended = {pod.metadata.uid: _end_of(pod) for pod in pods}
        held = {(ip, pod.metadata.uid) for pod in pods if _runs(pod) for ip in pod.addresses}
        # Whoever has an address now had its network ready within that second at the latest.
        next_one = {
            ip: ready_since(pod) + 1.0 for pod in pods if _runs(pod) for ip in pod.addresses
        }
        self._told.clear()
        for claim in await ledger.held(self.name):
            if claim.labels.get(ENGINE_LABEL) != self._mark:
                continue
            place = (claim.ip, claim.container_id)
            if place in held:
                self._told[place] = claim.valid_from
            else:
                over = ended.get(claim.container_id) or now
                at = min(now, over + 1.0, next_one.get(claim.ip, now))
                await self._free(ledger, claim.ip, claim.lifecycle_id, max(at, claim.valid_from))
        self._lives.clear()  # a store that has lost them is told again
        for pod in pods:
            await self._take(ledger, pod, _end_of(pod) or now)

    async def _take(self, ledger: Ledger, pod: Pod, ended: float) -> None:
        """Write what a pod is; ``ended`` is when it did, if it runs no more."""
        uid = pod.metadata.uid
        if not _runs(pod):
            await self._end(ledger, uid, ended)
            return
        known = self._lives.get(uid)
        since = known.since if known is not None else (ready_since(pod) or self._clock())
        facts = self._facts(pod, since)
        addresses = frozenset(pod.addresses)
        for ip in known.addresses - addresses if known is not None else ():
            await self._free(ledger, ip, facts.lifecycle_id, self._clock())
        kept = known.addresses if known is not None and known.facts == facts else frozenset()
        bound: set[str] = set(kept & addresses)
        for ip in sorted(addresses - kept):
            if await _bind(
                ledger, msgspec.structs.replace(facts, ip=ip), self._from(ip, uid, since)
            ):
                bound.add(ip)
        self._lives[uid] = _Life(facts.lifecycle_id, since, frozenset(bound), facts)

    async def _end(self, ledger: Ledger, uid: str, at: float) -> None:
        life = self._lives.pop(uid, None)
        for ip in sorted(life.addresses) if life is not None else ():
            assert life is not None
            await self._free(ledger, ip, life.lifecycle, max(at, life.since))

    async def _free(self, ledger: Ledger, ip: str, lifecycle: str, at: float) -> None:
        await ledger.release(ip, lifecycle, at)
        self._freed.pop(ip, None)
        self._freed[ip] = at
        if len(self._freed) > _FREED:
            del self._freed[next(iter(self._freed))]

    def _from(self, ip: str, uid: str, since: float) -> float:
        """Return since when an address is a pod's, for which its network was ready then.

        The order in which the server told it stands above the clocks of nodes: not before the last
        holder's end, and not after now.
        """
        if told := self._told.get((ip, uid)):
            return told
        return min(max(since, self._freed.get(ip, 0.0)), self._clock())

    def _facts(self, pod: Pod, since: float) -> Binding:
        meta, containers = pod.metadata, pod.spec.containers or ()
        binding = Binding(
            ip="",
            lifecycle_id=lifecycle_id(plain(meta.uid), epoch(pod.status.start_time)),
            valid_from=since,
            container=plain(meta.name),
            container_id=plain(meta.uid),
            image=plain(containers[0].image) if containers else "",
            grade=Grade.OBSERVED,
            source=self.name,
            labels={ENGINE_LABEL: self._mark},
        )
        wanted = set(self._names.values())
        noted = (meta.annotations or {}).items()
        labels = {**(meta.labels or {}), **{name: v for name, v in noted if name in wanted}}
        return described(binding, labels, self._names, _environment(pod))


async def _bind(ledger: Ledger, facts: Binding, since: float) -> bool:
    try:
        await ledger.bind(msgspec.structs.replace(facts, valid_from=since))
    except ConfigError as error:
        logger.warning("pod %s is not bound: %s", facts.container, error)
        return False
    return True


def _environment(pod: Pod) -> Iterator[str]:
    for container in pod.spec.containers or ():
        for each in container.env or ():
            yield f"{each.name}={each.value or ''}"


def _runs(pod: Pod) -> bool:
    """Tell whether a pod has its addresses, or will have."""
    return bool(pod.metadata.uid) and not pod.ended


def ready_since(pod: Pod) -> float:
    """Return when its network was ready, as nearly as the API tells, or 0.

    That a pod was accepted by its node (``startTime``) is too early: its address may still have
    been another's then.
    """
    for each in pod.status.conditions or ():
        if each.type == _NETWORK_READY and each.status == "True":
            return epoch(each.last_transition_time)
    status = pod.status
    several = (*(status.init_container_statuses or ()), *(status.container_statuses or ()))
    spans = [span for each in several if each.state for span in each.state.spans]
    return min((at for span in spans if (at := epoch(span.started_at))), default=0.0)


def _end_of(pod: Pod) -> float:
    """Return when a pod that has ended did, by its last container, or 0."""
    if _runs(pod):
        return 0.0
    states = [each.state for each in pod.status.container_statuses or () if each.state]
    return max((epoch(s.terminated.finished_at) for s in states if s.terminated), default=0.0)
