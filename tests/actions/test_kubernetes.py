"""Pods are labelled, released and deleted over HTTP, by an API server in the API's words."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from msgspec.structs import replace
from tests.actions.conftest import MakePlanned

from davylamp.actions.kubernetes import KubernetesExecutor
from davylamp.actions.model import Kind, Record, Status
from davylamp.attribution.model import Binding
from davylamp.attribution.server import EmbeddedRedis
from davylamp.attribution.store import AsyncStore
from davylamp.engines.kubernetes import KubernetesApi
from davylamp.errors import ActionRefused, EngineError

LABEL = "davylamp.quarantine"
type Scene = Callable[[KubernetesApi, ApiServer, AsyncStore], Awaitable[None]]


class ApiServer:
    """As much of the API as is used: pods by address, merge patches, preconditions, policies."""

    def __init__(self) -> None:
        self.pods: dict[str, dict[str, Any]] = {}
        self.policies: dict[str, Any] = {}
        self.broken = False
        self.app = web.Application(middlewares=[self._door])
        pod = "/api/v1/namespaces/{ns}/pods/{name}"
        policies = "/apis/networking.k8s.io/v1/namespaces/{ns}/networkpolicies"
        self.app.router.add_get("/api/v1/pods", self._list)
        self.app.router.add_patch(pod, self._patch)
        self.app.router.add_delete(pod, self._delete)
        self.app.router.add_post(policies, self._policy)

    def add(self, name: str, ip: str, uid: str, since: float = 1.0, **changes: Any) -> None:
        """Have a pod run; ``phase`` and ``host_network`` may be said."""
        metadata = {"namespace": "train", "name": name, "uid": uid, "labels": {"app": "x"}}
        ready = {"type": "PodReadyToStartContainers", "status": "True"}
        ready["lastTransitionTime"] = datetime.fromtimestamp(since, UTC).isoformat()
        status = {"podIP": ip, "phase": changes.get("phase", "Running"), "conditions": [ready]}
        spec = {"hostNetwork": changes.get("host_network", False)}
        self.pods[name] = {"metadata": metadata, "spec": spec, "status": status}

    @web.middleware
    async def _door(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.headers.get("Authorization") != "Bearer a-token":
            return web.json_response({"message": "Unauthorized"}, status=401)
        if self.broken:
            return web.Response(status=500, text="etcd\x1b[31m is away")
        return await handler(request)

    async def _list(self, request: web.Request) -> web.Response:
        name, _, ip = request.query["fieldSelector"].partition("=")
        assert name == "status.podIP"
        found = [one for one in self.pods.values() if one["status"]["podIP"] == ip]
        return web.json_response({"kind": "PodList", "items": found})

    async def _patch(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/merge-patch+json"
        pod = self.pods.get(request.match_info["name"])
        if pod is None:
            return web.json_response({"message": "not found"}, status=404)
        change = (await request.json())["metadata"]
        if change["uid"] != pod["metadata"]["uid"]:
            return web.json_response({"message": "uid differs"}, status=409)
        for name, value in change["labels"].items():
            pod["metadata"]["labels"].pop(name, None)
            if value is not None:
                pod["metadata"]["labels"][name] = value
        return web.json_response(pod)

    async def _delete(self, request: web.Request) -> web.Response:
        pod = self.pods.get(request.match_info["name"])
        if pod is None:
            return web.json_response({"message": "not found"}, status=404)
        if (await request.json())["preconditions"]["uid"] != pod["metadata"]["uid"]:
            return web.json_response({"message": "uid differs"}, status=409)
        del self.pods[request.match_info["name"]]
        return web.json_response(pod)

    async def _policy(self, request: web.Request) -> web.Response:
        policy = json.loads(await request.text())
        if policy["metadata"]["name"] in self.policies:
            return web.json_response({"message": "exists"}, status=409)
        self.policies[policy["metadata"]["name"]] = policy
        return web.json_response(policy, status=201)


def test_a_pod_is_labelled_released_and_deleted(
    server: EmbeddedRedis, planned: MakePlanned, tmp_path: Path
) -> None:
    """Only the pod whose address the lifecycle holds now, and no later pod of its name."""

    async def scene(api: KubernetesApi, world: ApiServer, store: AsyncStore) -> None:
        executor = KubernetesExecutor(store, api, LABEL)
        label = planned(Kind.KUBERNETES_LABEL, seen=9.0)
        delete = planned(Kind.KUBERNETES_DELETE, seen=9.0)
        with pytest.raises(ActionRefused, match="no address"):
            await executor.do(label, 1e9)
        bind = Binding(ip="10.0.0.7", lifecycle_id="c1@1", container="sandbox-7", valid_from=1.0)
        await store.run(store.operations.bind(bind, 1.0))
        with pytest.raises(ActionRefused, match="no pod"):
            await executor.do(label, 1e9)
        world.add("sandbox-7", "10.0.0.7", "uid-1")
        world.add("other", "10.0.0.8", "uid-2")
        for _ in range(2):
            done = await executor.do(label, 1e9)
        assert world.pods["sandbox-7"]["metadata"]["labels"][LABEL] == "inc-1"
        assert LABEL not in world.pods["other"]["metadata"]["labels"]
        (policy,) = world.policies.values()
        assert policy["spec"]["podSelector"]["matchExpressions"][0]["key"] == LABEL
        assert (policy["spec"]["policyTypes"], policy["spec"]["egress"]) == (["Egress"], [])
        record = Record(
            planned=label, status=Status.UNDOING, gateway="gw-1", at=1e9, memo=done.memo
        )
        assert "taken away" in await executor.undo(record, 1e9)
        assert world.pods["sandbox-7"]["metadata"]["labels"] == {"app": "x"}
        world.add("sandbox-7", "10.0.0.7", "uid-3")
        with pytest.raises(ActionRefused, match="gone"):
            await executor.undo(record, 1e9)
        world.broken = True
        with pytest.raises(EngineError, match="HTTP 500 etcd \\[31m"):
            await executor.do(delete, 1e9)
        world.broken = False
        await executor.do(delete, 1e9)
        assert world.pods.keys() == {"other"}
        world.add("one", "10.0.0.7", "uid-4")
        world.add("another", "10.0.0.7", "uid-5")
        with pytest.raises(ActionRefused, match="that of train/one, train/another, not surely"):
            await executor.do(replace(delete, incident_id="inc-2"), 1e9)

    play(server, tmp_path, scene)


@pytest.mark.parametrize("source", ["kubernetes", "trainer"])
def test_only_the_pod_that_was_alerted_on_is_touched(
    server: EmbeddedRedis, planned: MakePlanned, tmp_path: Path, source: str
) -> None:
    """Not the next one with its address, one on the host's network, or one that has ended."""

    async def scene(api: KubernetesApi, world: ApiServer, store: AsyncStore) -> None:
        executor = KubernetesExecutor(store, api, LABEL)
        # A trainer knows the pod by its name only.
        uid = "uid-1" if source == "kubernetes" else ""
        bind = Binding(
            ip="10.0.0.7",
            lifecycle_id=f"{uid or 'sandbox-7'}@1.000000",
            container="sandbox-7",
            container_id=uid,
            valid_from=1.0,
            source=source,
        )
        delete = planned(Kind.KUBERNETES_DELETE, seen=50.0, lifecycle_id=bind.lifecycle_id)
        await store.run(store.operations.bind(bind, 1.0))
        world.add("sandbox-7", "10.0.0.7", "uid-2", since=60.0)
        with pytest.raises(ActionRefused, match="that of train/sandbox-7, not surely"):
            await executor.do(delete, 61.0)
        world.add("sandbox-7", "10.0.0.7", "uid-1", host_network=True)
        with pytest.raises(ActionRefused, match="kubectl get pods"):
            await executor.do(delete, 61.0)
        world.add("sandbox-7", "10.0.0.7", "uid-1", phase="Running")
        world.add("job", "10.0.0.7", "uid-3", phase="Succeeded")
        world.add("exporter", "10.0.0.7", "uid-4", host_network=True)
        await executor.do(delete, 61.0)
        assert world.pods.keys() == {"job", "exporter"}

    play(server, tmp_path, scene)


def play(server: EmbeddedRedis, tmp_path: Path, scene: Scene) -> None:
    """Run a scene against an API server."""

    async def run() -> None:
        token = tmp_path / "token"
        token.write_text("a-token\n")
        world = ApiServer()
        async with TestServer(world.app) as running, AsyncStore(server.url) as store:
            api = KubernetesApi(str(running.make_url("/")), token_file=str(token), ca="", seconds=5)
            try:
                await scene(api, world, store)
            finally:
                await api.close()

    asyncio.run(run())
