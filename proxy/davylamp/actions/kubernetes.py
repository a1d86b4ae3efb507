"""What is done to a pod: labelled, so that a network policy stops it, or deleted.

The pod is the one that has an address which the lifecycle holds now. Everything after that goes by
its uid: a pod of the same name that was made since is another.
"""

from davylamp.actions.executor import Done
from davylamp.actions.holding import addresses_held
from davylamp.actions.model import Kind, Planned, Record
from davylamp.attribution.store import AsyncStore
from davylamp.engines.kubernetes import KubernetesApi
from davylamp.engines.kubernetes_model import Metadata
from davylamp.errors import ActionRefused


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
        for address in await addresses_held(self._store, planned.lifecycle_id):
            found = await self._api.pods_at(address)
            # Pods on the host's network share its address: none of them is meant for sure.
            if len(found) == 1 and found[0].metadata.uid:
                return found[0].metadata
        raise ActionRefused("no pod, or more than one, has its address")
