"""What is done to a pod: labelled, so that a network policy stops it, or deleted.

The pod is the one that has an address which the lifecycle holds now. Addresses come round again,
and lineage may lag, so its uid must be the one that the lifecycle is of; where no source told a
uid, it must have had its network before the alert. Everything after that goes by the uid: a pod of
the same name that was made since is another.
"""

from davylamp.actions.executor import Done
from davylamp.actions.holding import addresses_held
from davylamp.actions.model import Kind, Planned, Record
from davylamp.attribution.model import Binding
from davylamp.attribution.sources.kubernetes import KubernetesSource, ready_since
from davylamp.attribution.store import AsyncStore
from davylamp.engines.kubernetes import KubernetesApi
from davylamp.engines.kubernetes_model import Metadata, Pod
from davylamp.errors import ActionRefused

_SKEW = 0.1
"""How far, in seconds, a node's clock may be from ours."""


class KubernetesExecutor:
    """Labels and deletes pods by one API server."""

    def __init__(self, store: AsyncStore, api: KubernetesApi, label: str) -> None:
        self._store = store
        self._api = api
        self._label = label

    async def do(self, planned: Planned, now: float) -> Done:  # noqa: ARG002 - any executor's
        """Do to the pod what was planned."""
        pod = await self._pod(planned)
        name = f"{pod.namespace}/{pod.name}"
        if planned.kind is Kind.KUBERNETES_DELETE:
            if not await self._api.delete(pod):
                raise ActionRefused(f"pod {name} is gone")
            return Done(f"pod {name} is deleted")
        await self._api.refuse_egress(pod.namespace, self._label)
        if not await self._api.label(pod, self._label, planned.incident_id):
            raise ActionRefused(f"pod {name} is gone")
        memo = {"namespace": pod.namespace, "name": pod.name, "uid": pod.uid}
        return Done(f"pod {name} is labelled {self._label}", memo)

    async def undo(self, record: Record, now: float) -> str:  # noqa: ARG002 - any executor's
        """Take the label away."""
        memo = record.memo
        pod = Metadata(
            name=memo.get("name", ""),
            namespace=memo.get("namespace", ""),
            uid=memo.get("uid", ""),
        )
        if not pod.uid or not await self._api.label(pod, self._label, None):
            raise ActionRefused("the pod is gone")
        return "the label is taken away"

    async def _pod(self, planned: Planned) -> Metadata:
        others: list[str] = []
        claims = await self._store.run(self._store.operations.claims_about(planned.lifecycle_id))
        for address in await addresses_held(self._store, planned.lifecycle_id):
            having = [pod for pod in await self._api.pods_at(address) if _has(pod, address)]
            meant = [pod for pod in having if _is_meant(pod, claims, planned.seen)]
            if len(meant) == 1:
                return meant[0].metadata
            others += [f"{pod.metadata.namespace}/{pod.metadata.name}" for pod in having]
        raise ActionRefused(_why_not(others))


def _has(pod: Pod, address: str) -> bool:
    """Tell whether an address is a pod's own, and still is."""
    return bool(pod.metadata.uid) and not pod.ended and address in pod.addresses


def _is_meant(pod: Pod, claims: tuple[Binding, ...], seen: float) -> bool:
    """Tell whether a pod is what was claimed, and alerted on when ``seen``."""
    watched = {each.container_id for each in claims if each.source == KubernetesSource.name}
    if watched:
        return pod.metadata.uid in watched
    told = {each.container_id for each in claims}
    return pod.metadata.uid in told or 0 < ready_since(pod) <= seen + _SKEW


def _why_not(others: list[str]) -> str:
    if not others:
        return "no pod of its own has its address; look for it with kubectl get pods -A -o wide"
    names = ", ".join(dict.fromkeys(others))
    return (
        f"its address is by now that of {names}, not surely what was alerted on; "
        "look whether it mines, and use kubectl if it does"
    )
