"""An API with everything real behind it but the packets: Redis, lineage, metrics, the board."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest

from davylamp.api.board import Board
from davylamp.api.server import serving_api
from davylamp.api.sight import Sight
from davylamp.attribution.server import EmbeddedRedis
from davylamp.attribution.sources.source import Health
from davylamp.attribution.store import AsyncStore, Store
from davylamp.attribution.sync import LineageSync
from davylamp.attribution.table import LineageTable
from davylamp.config import GatewayConfig, parse_config
from davylamp.events import AnyEvent
from davylamp.metrics.book import MetricsBook
from davylamp.signatures.pack import Pack
from davylamp.updates.loading import load_source
from davylamp.wiring import source_of

type Serve = Callable[..., "Site"]


@dataclass
class Worker:
    """A child process as health sees it."""

    name: str
    alive: bool = True
    restarts: int = 0
    ready: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Rules:
    """Rules that were put in force a minute ago."""

    applied_at: float = field(default_factory=lambda: time.time() - 60)


@dataclass(slots=True)
class Packs:
    """The pack in force, which may be another one from now on."""

    pack: Pack


class Site:
    """A served API in a thread of its own, so that any client can talk to it."""

    def __init__(self, config: GatewayConfig, url: str) -> None:
        self.store = Store(url)
        self.state = Path(config.state_dir)
        self.workers = [Worker("queue-40"), Worker("sample-40")]
        self.workers[0].ready.set()
        self.workers[1].ready.set()
        self.docker = Health("docker", connected=True)
        self.noted: list[str] = []
        self.packs = Packs(load_source(source_of(config)).pack)
        self.board = Board(time.time)
        self.book = MetricsBook(lambda: {"file.written": 3})
        self.table = LineageTable()
        self.port = 0
        self._config = config
        self._redis = url
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._ending = asyncio.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(20)
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(20)
        assert not self._thread.is_alive()
        self.store.close()

    @property
    def url(self) -> str:
        """Where it is."""
        scheme = "https" if self._config.api.tls.certificate else "http"
        return f"{scheme}://127.0.0.1:{self.port}"

    def token(self, name: str = "token") -> str:
        """Return a token from its file."""
        return (self.state / "api" / name).read_text().strip()

    def headers(self, name: str = "token") -> dict[str, str]:
        """Return the header that shows a token."""
        return {"Authorization": f"Bearer {self.token(name)}"}

    def publish(self, *events: AnyEvent) -> None:
        """Publish events as the gateway does."""

        async def published() -> None:
            for event in events:
                self.book.count(event)
                self.board.take(event)

        self.run(published())

    def run[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:  # noqa: BLE001 - told to whoever waits
            self._failure = error
            self._ready.set()
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        async with AsyncExitStack() as stack:
            store = await stack.enter_async_context(AsyncStore(self._redis))
            sync = LineageSync(store, self.table, on_change=self.board.learn)
            following = asyncio.create_task(sync.run())
            stack.callback(following.cancel)
            sight = Sight(
                config=self._config,
                packs=self.packs,
                store=store,
                sync=sync,
                table=self.table,
                book=self.book,
                board=self.board,
                rules=Rules(),
                noted=lambda: self.noted,
                processes=self.workers,
                followed=[self.docker],
                clock=time.time,
            )
            self.port = await stack.enter_async_context(serving_api(sight))
            await sync.wait_loaded(10)
            self._ready.set()
            await self._ending.wait()


@pytest.fixture
def serve(server: EmbeddedRedis, tmp_path: Path) -> Iterator[Serve]:
    """Serve an API with these keys under ``api``, on a port of its own."""
    with ExitStack() as stack:

        def start(**api: Any) -> Site:
            listen = api.pop("listen", "127.0.0.1:0")
            tree = {
                "sandboxes": {"subnets": ["10.0.0.0/8"]},
                "state_dir": str(tmp_path / "state"),
                "api": {"listen": listen, **api},
            }
            config = parse_config(json.dumps(tree))
            return stack.enter_context(Site(config, server.url))

        yield start


@pytest.fixture
def site(serve: Serve) -> Site:
    """Serve an API as it is by default."""
    return serve()
