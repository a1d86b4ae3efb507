"""An API server that keeps pods and speaks list and watch as Kubernetes does.

As in kubernetes.io/docs/reference/using-api/api-concepts: every change has a resource version; a
watch goes on after one; bookmarks say how far it is; history that was compacted is 410 Gone, as
an answer or as an event; a list comes in pages; a watch may end at any moment.
"""

import asyncio
import contextlib
import copy
import json
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Self

from aiohttp import web

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
type Object = dict[str, Any]
TOKEN = "a-token"


def stamp(at: float) -> str:
    """Return a time as the API writes it: whole seconds."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class KubePeer:
    """The server, in a thread of its own while entered; its methods are for the test's thread."""

    def __init__(self) -> None:
        self.pods: dict[str, Object] = {}
        self.log: list[tuple[int, str, Object]] = []
        self.version, self.oldest = 100, 100
        self.watches, self.lists, self.gone = 0, 0, 0
        self.away = False
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._ready, self._ended = threading.Event(), asyncio.Event()
        self._news = asyncio.Condition()
        self._cuts = 0
        self._snapshot: list[Object] = []
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)
        self._loop.close()

    def put(self, name: str, uid: str, *ips: str, **changes: Any) -> None:
        """Create a pod that runs, or change it: ``phase``, ``labels``, ``annotations``, ``env``."""
        now = stamp(time.time())
        kind = "MODIFIED" if name in self.pods else "ADDED"
        ended = {"finishedAt": now} if changes.get("phase") else None
        state = {"terminated": ended} if ended else {"running": {"startedAt": now}}
        env = [{"name": k, "value": v} for k, v in changes.get("env", {}).items()]
        ready = {"type": "PodReadyToStartContainers", "status": "True", "lastTransitionTime": now}
        status = {
            "phase": changes.get("phase", "Running"),
            "podIP": ips[0] if ips else None,
            "podIPs": [{"ip": ip} for ip in ips],
            "startTime": now,
            "conditions": [ready],
            "containerStatuses": [{"state": state}],
        }
        if name in self.pods:  # what has happened stays as it was
            status |= {k: self.pods[name]["status"][k] for k in ("startTime", "conditions")}
        pod = {
            "metadata": {
                "name": name,
                "namespace": "train",
                "uid": uid,
                "labels": changes.get("labels", {}),
                "annotations": changes.get("annotations"),
            },
            "spec": {"containers": [{"image": "img", "env": env}], **changes.get("spec", {})},
            "status": status,
        }
        self._do(lambda: self._change(kind, name, pod))

    def delete(self, name: str) -> None:
        """Delete a pod."""
        self._do(lambda: self._change("DELETED", name, self.pods[name]))

    def compact(self) -> None:
        """Forget all history, and end the watches: the next must list."""

        def forget() -> None:
            self.version += 1
            self.oldest = self.version
            self.log.clear()
            self._cuts += 1

        self._do(forget)

    def cut(self) -> None:
        """End every watch at this moment."""

        def end() -> None:
            self._cuts += 1

        self._do(end)

    def _do(self, change: Callable[[], None]) -> None:
        async def locked() -> None:
            async with self._news:
                change()
                self._news.notify_all()

        asyncio.run_coroutine_threadsafe(locked(), self._loop).result(10)

    def _change(self, kind: str, name: str, pod: Object) -> None:
        self.version += 1
        made = copy.deepcopy(pod)
        made["metadata"]["resourceVersion"] = str(self.version)
        if kind == "DELETED":
            del self.pods[name]
        else:
            self.pods[name] = made
        self.log.append((self.version, kind, made))

    async def _run(self) -> None:
        @web.middleware
        async def door(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.headers.get("Authorization") != f"Bearer {TOKEN}":
                return web.json_response({"kind": "Status", "code": 401}, status=401)
            if self.away:
                return web.json_response({"kind": "Status", "code": 503}, status=503)
            return await handler(request)

        app = web.Application(middlewares=[door])
        app.router.add_get("/api/v1/namespaces/train/pods", self._pods)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        await self._ended.wait()
        await runner.cleanup()

    async def _pods(self, request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            answer = web.StreamResponse()
            with contextlib.suppress(ConnectionResetError):  # whoever watched has gone
                return await self._watch(request, answer)
            return answer
        self.lists += 1
        # The pages of one list are of one moment.
        version, _, begin = request.query.get("continue", f"{self.version}:0").partition(":")
        if begin == "0":
            self._snapshot = list(self.pods.values())
        start = int(begin)
        end = start + min(3, int(request.query["limit"]))
        more = f"{version}:{end}" if end < len(self._snapshot) else ""
        meta = {"resourceVersion": version, "continue": more}
        items = self._snapshot[start:end]
        return web.json_response({"kind": "PodList", "metadata": meta, "items": items})

    async def _watch(self, request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
        self.watches += 1
        at, cuts = int(request.query["resourceVersion"]), self._cuts
        trouble = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
        if at < self.oldest:
            self.gone += 1
            if self.gone % 2:
                return web.json_response(trouble, status=410)
        await answer.prepare(request)
        if at < self.oldest:
            await answer.write(json.dumps({"type": "ERROR", "object": trouble}).encode() + b"\n")
            return answer
        while cuts == self._cuts and not self._ended.is_set():
            news = [(v, kind, pod) for v, kind, pod in self.log if v > at]
            for version, kind, pod in news:
                await answer.write(json.dumps({"type": kind, "object": pod}).encode() + b"\n")
                at = version
            if not news:
                at = self.version
                mark = {"kind": "Pod", "metadata": {"resourceVersion": str(at)}}
                line = json.dumps({"type": "BOOKMARK", "object": mark})
                await answer.write(line.encode() + b"\n")
                await self._more(at, cuts)
        return answer

    async def _more(self, at: int, cuts: int) -> None:
        """Wait a moment for what is newer."""
        async with self._news:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    await self._news.wait_for(lambda: self.version > at or cuts != self._cuts)
