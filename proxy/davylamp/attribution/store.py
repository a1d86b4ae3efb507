"""The two executors of operations: one for asyncio, one for plain code; and where the store is.

Every error of Redis or of the road to it becomes LineageUnavailable here. Each command is tried
once more on a new connection, which heals a server that was restarted; writes are safe to repeat.
"""

from collections.abc import Sequence
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from davylamp import events
from davylamp.attribution.operations import Command, Operation, Operations
from davylamp.attribution.place import default_url
from davylamp.errors import ConfigError, LineageUnavailable

TIMEOUT = 2.0
"""Seconds that Redis has to accept a connection, and to answer a command."""

_SCHEMES = ("redis", "rediss", "unix")
_FAILURES = (RedisError, OSError, TimeoutError)


def checked_url(url: str | None) -> str:
    """Return the URL of the store, the default one for None; raise ConfigError if it is unfit.

    The default is ``$DAVYLAMP_LINEAGE_URL``, else the socket of the embedded server.
    """
    chosen = url or default_url()
    if urlsplit(chosen).scheme not in _SCHEMES:
        raise ConfigError(
            f"lineage URL {shown_url(chosen)!r} is not understood; write redis://host:6379/0, "
            "rediss://host:6379/0 or unix:///path/to/redis.sock"
        )
    return chosen


def shown_url(url: str) -> str:
    """Return the URL without its password and query, fit for messages."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def unavailable(url: str, error: BaseException) -> LineageUnavailable:
    """Return the error to raise for a failure of Redis, saying what to do next."""
    what = str(error) or type(error).__name__
    if url.startswith("unix:"):
        hint = "start `davylamp gateway` on this host, or name a store with --url"
    else:
        hint = "check that Redis runs there and accepts this host"
    return LineageUnavailable(
        f"the lineage store {shown_url(url)} does not answer ({what}); {hint}"
    )


class Store:
    """The store for plain code, as the trainer's client and the command line use it."""

    def __init__(self, url: str | None = None, operations: Operations | None = None) -> None:
        self.url = checked_url(url)
        self.operations = operations or Operations()
        try:
            self._redis: Any = redis.Redis.from_url(
                self.url,
                protocol=2,
                socket_timeout=TIMEOUT,
                socket_connect_timeout=TIMEOUT,
                retry=Retry(NoBackoff(), 1),
            )
        except ValueError as error:
            raise ConfigError(f"lineage URL {shown_url(self.url)!r}: {error}") from None

    def run[T](self, operation: Operation[T]) -> T:
        """Run an operation to its end; raise LineageUnavailable when Redis does not answer."""
        replies: list[Any] | None = None
        while True:
            try:
                batch = operation.send(replies)  # type: ignore[arg-type]  # None starts it
            except StopIteration as done:
                result: T = done.value
                return result
            replies = self._execute(batch)

    def close(self) -> None:
        """Close the connections; the store may be used again afterwards."""
        self._redis.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _execute(self, batch: Sequence[Command]) -> list[Any]:
        try:
            if len(batch) == 1:
                return [self._redis.execute_command(*batch[0])]
            pipeline = self._redis.pipeline(transaction=False)
            for command in batch:
                pipeline.execute_command(*command)
            replies: list[Any] = pipeline.execute()
        except _FAILURES as error:
            raise unavailable(self.url, error) from error
        return replies


class AsyncStore:
    """The store for asyncio, as the gateway uses it."""

    def __init__(
        self,
        url: str | None = None,
        operations: Operations | None = None,
    ) -> None:
        self.url = checked_url(url)
        self.operations = operations or Operations()
        try:
            self._redis: Any = redis.asyncio.Redis.from_url(
                self.url,
                protocol=2,
                socket_timeout=TIMEOUT,
                socket_connect_timeout=TIMEOUT,
                retry=AsyncRetry(NoBackoff(), 1),
            )
        except ValueError as error:
            raise ConfigError(f"lineage URL {shown_url(self.url)!r}: {error}") from None

    async def run[T](self, operation: Operation[T]) -> T:
        """Run an operation to its end; raise LineageUnavailable when Redis does not answer."""
        replies: list[Any] | None = None
        while True:
            try:
                batch = operation.send(replies)  # type: ignore[arg-type]  # None starts it
            except StopIteration as done:
                result: T = done.value
                return result
            replies = await self._execute(batch)

    async def record(self, event: events.AnyEvent) -> bool:
        """Publish an event once and tag the container that it names; say whether it was news.

        Raises LineageUnavailable: the caller keeps the event and records it again later.
        """
        return await self.run(self.operations.record(event))

    async def tag(self, event: events.AlertEvent) -> bool:
        """Put an alert on its container's record only; say whether it was news."""
        return await self.run(self.operations.tag(event))

    async def close(self) -> None:
        """Close the connections; the store may be used again afterwards."""
        await self._redis.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _execute(self, batch: Sequence[Command]) -> list[Any]:
        try:
            if len(batch) == 1:
                return [await self._redis.execute_command(*batch[0])]
            pipeline = self._redis.pipeline(transaction=False)
            for command in batch:
                pipeline.execute_command(*command)
            replies: list[Any] = await pipeline.execute()
        except _FAILURES as error:
            raise unavailable(self.url, error) from error
        return replies
