"""API servers with large pods, or watches of no use, are asked no more than helps."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from davylamp.attribution.model import Binding
from davylamp.attribution.sources.kubernetes import KubernetesSource
from davylamp.attribution.sources.source import Health
from davylamp.engines import kubernetes
from davylamp.engines.kubernetes import KubernetesApi
from davylamp.errors import EngineError


class NoLedger:
    """A ledger that keeps nothing."""

    async def bind(self, binding: Binding) -> Binding:
        """Take it."""
        return binding

    async def release(self, ip: str, lifecycle: str, at: float) -> None:
        """Take it."""

    async def held(self, source: str) -> list[Binding]:  # noqa: ARG002 - a Ledger's
        """Return nothing."""
        return []

    async def current(self) -> list[Binding]:
        """Return nothing."""
        return []


class Pages:
    """A server with pods of some size, in pages as large as they are asked for.

    ``watched`` is all that a watch says; ``expired`` says how often a rest is no longer kept.
    """

    def __init__(self, pods: int, size: int = 0, watched: str = "", expired: int = 0) -> None:
        self.asked: Counter[str] = Counter()
        self.version = "5"
        self._pods = [self._pod(number, size) for number in range(pods)]
        self._watched = watched
        self._expired = expired
        self.app = web.Application()
        self.app.router.add_get("/api/v1/pods", self._answer)

    def _pod(self, number: int, size: int) -> dict[str, Any]:
        meta = {"name": f"p{number}", "uid": f"u{number}", "annotations": {"x": "a" * size}}
        status = {"phase": "Running", "podIP": f"10.0.0.{number}"}
        return {"metadata": meta, "status": status}

    async def _answer(self, request: web.Request) -> web.Response:
        if "watch" in request.query:
            self.asked["watch"] += 1
            return web.Response(text=self._watched)
        self.asked["list"] += 1
        begin = int(request.query.get("continue", "0"))
        if begin and self._expired:
            self._expired -= 1
            return web.json_response({"code": 410}, status=410)
        end = begin + int(request.query["limit"])
        more = str(end) if end < len(self._pods) else ""
        meta = {"resourceVersion": self.version, "continue": more}
        return web.json_response({"metadata": meta, "items": self._pods[begin:end]})


def play(server: Pages, scene: Callable[[KubernetesApi], Awaitable[None]]) -> None:
    """Run a scene against a server."""

    async def run() -> None:
        async with TestServer(server.app) as running:
            api = KubernetesApi(str(running.make_url("")), token_file="", ca="", seconds=5.0)
            try:
                await scene(api)
            finally:
                await api.close()

    asyncio.run(run())


def test_large_pods_are_asked_for_in_smaller_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """All are told, each once; only a pod that fits no answer alone is too much."""
    monkeypatch.setattr(kubernetes, "ANSWER_BYTES", 20_000)
    server = Pages(40, 2_000)

    async def scene(api: KubernetesApi) -> None:
        for _ in range(2):
            listed = await api.pods()
            assert [each.metadata.uid for each in listed.items] == [f"u{n}" for n in range(40)]

    play(server, scene)
    assert server.asked["list"] < 25, "the size that fits is kept"

    async def too_large(api: KubernetesApi) -> None:
        with pytest.raises(EngineError, match="larger than 20000"):
            await api.pods()

    play(Pages(2, 30_000), too_large)


@pytest.mark.parametrize("expired", [1, 1_000])
def test_a_list_is_begun_again_a_few_times_only(
    monkeypatch: pytest.MonkeyPatch, expired: int
) -> None:
    """The rest of a list that took too long may be gone; where it always is, that is said."""
    monkeypatch.setattr(kubernetes, "_PAGE", 10)

    async def scene(api: KubernetesApi) -> None:
        if expired == 1:
            assert len((await api.pods()).items) == 25
            return
        with pytest.raises(EngineError, match="takes too long"):
            await api.pods()

    play(Pages(25, expired=expired), scene)


@pytest.mark.parametrize("watched", ["", "{}x\n", '{"type": "BOOKMARK", "object": {}}\n', None])
def test_a_watch_of_no_use_is_not_repeated_at_once(watched: str | None) -> None:
    """It ends at once, cannot be read, says nothing new, or there is nothing to watch from."""
    server = Pages(3, watched=watched or "")
    server.version = "5" if watched is not None else ""

    async def scene(api: KubernetesApi) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(1.5):
                await KubernetesSource(api, "https://k").run(NoLedger(), Health("k"))

    play(server, scene)
    assert 3 <= server.asked.total() <= 20
