"""A real HTTP receiver of a test's own, in a thread: it checks signatures and honours ids."""

import asyncio
import json
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

from davylamp.outputs.signing import SIGNATURE, TIMESTAMP, verify

SECRET = b"0123456789abcdef0123456789abcdef"


@dataclass(slots=True)
class Post:
    """One request that came in whole."""

    headers: dict[str, str]
    body: bytes
    signed: bool


Answer = Callable[[int], "int | str"]
"""From a request's number, from 0: a status, ``slow``, ``drop`` (taken, no answer) or ``cut``."""


@dataclass(slots=True)
class Receiver:
    """Listens on loopback while it is entered; ``answer`` says how each request is met."""

    answer: Answer = lambda _: 204
    tls: ssl.SSLContext | None = None
    port: int = 0
    path: str = "/hook"
    posts: list[Post] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    events: dict[str, Any] = field(default_factory=dict)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _thread: threading.Thread | None = None
    _ready: threading.Event = field(default_factory=threading.Event)
    _ending: asyncio.Event = field(default_factory=asyncio.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ending.set)
        assert self._thread is not None
        self._thread.join(10)

    def until(self, holds: Callable[[], bool]) -> None:
        """Return when ``holds`` does."""
        end = time.monotonic() + 30
        while not holds():
            assert time.monotonic() < end, (self.accepted, len(self.posts))
            time.sleep(0.02)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post(self.path, self._take)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port, ssl_context=self.tls)
        await site.start()
        self.port = runner.addresses[0][1]
        self._ready.set()
        await self._ending.wait()
        await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        signed = verify(
            SECRET,
            timestamp=request.headers.get(TIMESTAMP, ""),
            signature=request.headers.get(SIGNATURE, ""),
            body=body,
            now=time.time(),
        )
        self.posts.append(Post(dict(request.headers), body, signed))
        met = self.answer(len(self.posts) - 1)
        if met == "slow":
            await asyncio.sleep(2.0)
            return web.Response(status=204)
        if met == "cut":
            return self._hang_up(request)
        if isinstance(met, int) and met != 204:
            return web.Response(status=met, headers={"Location": "/elsewhere", "Retry-After": "0"})
        self._keep(body)
        return self._hang_up(request) if met == "drop" else web.Response(status=204)

    def _keep(self, body: bytes) -> None:
        for delivery in json.loads(body)["deliveries"]:
            if delivery["id"] not in self.events:
                self.events[delivery["id"]] = delivery["event"]
                self.accepted.append(delivery["id"])

    @staticmethod
    def _hang_up(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response(status=204)
