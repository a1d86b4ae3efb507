"""The two executors of operations: one for asyncio, one for plain code.

Every error of Redis or of the road to it becomes LineageUnavailable here. Each command is tried
once more on a new connection, which heals a server that was restarted; writes are safe to repeat.
Where the server that takes writes has become another, that one is looked for before the next try.
"""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any, Self

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import AskError
from redis.retry import Retry

from davylamp import events
from davylamp.attribution.endpoint import Endpoint, Kind, Node, parse_url, shown_url
from davylamp.attribution.keys import Keys
from davylamp.attribution.operation import Command, Operation
from davylamp.attribution.operations import Operations
from davylamp.attribution.place import default_url
from davylamp.attribution.road import (
    CLUSTER_PREFIX,
    ELSEWHERE,
    FAILURES,
    LOST,
    Found,
    Question,
    failure_of,
    search,
    settings,
    target_of,
)
from davylamp.errors import LineageUnavailable


def unavailable(url: str, error: BaseException) -> LineageUnavailable:
    """Return the error to raise for a failure of Redis, saying what to do next."""
    what = str(error) or type(error).__name__
    if url.startswith("unix:") and _is_denied(error):
        hint = "run this as who runs the gateway"
    elif url.startswith("unix:"):
        hint = "start `davylamp gateway` on this host, or name a store with --url"
    else:
        hint = "check that Redis runs there and accepts this host"
    return LineageUnavailable(
        f"the lineage store {shown_url(url)} does not answer ({what}); {hint}"
    )


def _is_denied(error: BaseException | None) -> bool:
    """Tell whether it comes of a missing permission; redis-py wraps what the system said."""
    while error is not None and not isinstance(error, PermissionError):
        error = error.__cause__ or error.__context__
    return error is not None


def operations_at(endpoint: Endpoint) -> Operations:
    """Return the operations as a store of that kind wants them."""
    keys = Keys(CLUSTER_PREFIX) if endpoint.kind is Kind.CLUSTER else Keys()
    return Operations(keys=keys, replicas=endpoint.replicas)


def _moved_together(batch: Sequence[Command], index: int) -> Sequence[Command]:
    """Return what must follow a command to another node: the WAIT for what it wrote."""
    return batch[index:] if batch[-1][0] == "WAIT" else batch[index : index + 1]


class Store:
    """The store for plain code, as the trainer's client and the command line use it.

    The URL's forms are in `endpoint`; without one it is ``$DAVYLAMP_LINEAGE_URL``, else the socket
    of the embedded server. Raises ConfigError for a URL that is unfit.
    """

    def __init__(self, url: str | None = None, operations: Operations | None = None) -> None:
        self.url = url or default_url()
        self._endpoint = parse_url(self.url)
        self.operations = operations or operations_at(self._endpoint)
        self._lock = threading.Lock()
        self._known: tuple[Node, ...] = ()
        self._node = self._endpoint.nodes[0]
        self._redis: Any = None

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
        with self._lock:
            client, self._redis = self._redis, None
        if client is not None:
            client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _execute(self, batch: Sequence[Command]) -> list[Any]:
        try:
            try:
                return self._send(batch)
            except ELSEWHERE:
                self.close()
                return self._send(batch)
        except FAILURES as error:
            if self._endpoint.moves and isinstance(error, (*LOST, *ELSEWHERE)):
                self.close()
            raise unavailable(self.url, error) from error

    def _send(self, batch: Sequence[Command]) -> list[Any]:
        client = self._client()
        pipeline = client.pipeline(transaction=False)
        for command in batch:
            pipeline.execute_command(*command)
        replies: list[Any] = pipeline.execute(raise_on_error=False)
        for index, reply in enumerate(replies):
            if type(reply) is AskError:  # a MovedError is one to redis-py, too
                moved = _moved_together(batch, index)
                answers = self._ask(target_of(reply, self._node), moved)
                replies[index : index + len(moved)] = answers
            elif isinstance(reply, Exception):
                raise failure_of(reply)
        return replies

    def _ask(self, node: Node, commands: Sequence[Command]) -> list[Any]:
        """Have commands done by the node that the keys of a moving slot have gone to."""
        with self._open(node) as client:
            pipeline = client.pipeline(transaction=False)
            pipeline.execute_command("ASKING")
            for command in commands:
                pipeline.execute_command(*command)
            replies: list[Any] = pipeline.execute()
            return replies[1:]

    def _client(self) -> Any:
        with self._lock:
            if self._redis is None:
                found = self._find()
                self._known, self._node = found.known, found.node
                self._redis = self._open(found.node)
            return self._redis

    def _find(self) -> Found:
        looking = search(self._endpoint, self._known)
        try:
            question = next(looking)
            while True:
                try:
                    answer = self._answer(question)
                except FAILURES as error:
                    question = looking.throw(error)
                else:
                    question = looking.send(answer)
        except StopIteration as done:
            found: Found = done.value
            return found

    def _answer(self, question: Question) -> Any:
        sentinel = self._endpoint.kind is Kind.SENTINEL
        with self._open(question.node, sentinel=sentinel) as client:
            return client.execute_command(*question.command)

    def _open(self, node: Node, *, sentinel: bool = False) -> Any:
        retry = Retry(NoBackoff(), 1)
        return redis.Redis(**settings(self._endpoint, node, sentinel=sentinel), retry=retry)


class AsyncStore:
    """The store for asyncio, as the gateway uses it; otherwise as `Store`."""

    def __init__(self, url: str | None = None, operations: Operations | None = None) -> None:
        self.url = url or default_url()
        self._endpoint = parse_url(self.url)
        self.operations = operations or operations_at(self._endpoint)
        self._lock = asyncio.Lock()
        self._known: tuple[Node, ...] = ()
        self._node = self._endpoint.nodes[0]
        self._redis: Any = None

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

    async def close(self) -> None:
        """Close the connections; the store may be used again afterwards."""
        client, self._redis = self._redis, None
        if client is not None:
            await client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _execute(self, batch: Sequence[Command]) -> list[Any]:
        try:
            try:
                return await self._send(batch)
            except ELSEWHERE:
                await self.close()
                return await self._send(batch)
        except FAILURES as error:
            if self._endpoint.moves and isinstance(error, (*LOST, *ELSEWHERE)):
                await self.close()
            raise unavailable(self.url, error) from error

    async def _send(self, batch: Sequence[Command]) -> list[Any]:
        client = await self._client()
        pipeline = client.pipeline(transaction=False)
        for command in batch:
            pipeline.execute_command(*command)
        replies: list[Any] = await pipeline.execute(raise_on_error=False)
        for index, reply in enumerate(replies):
            if type(reply) is AskError:  # a MovedError is one to redis-py, too
                moved = _moved_together(batch, index)
                answers = await self._ask(target_of(reply, self._node), moved)
                replies[index : index + len(moved)] = answers
            elif isinstance(reply, Exception):
                raise failure_of(reply)
        return replies

    async def _ask(self, node: Node, commands: Sequence[Command]) -> list[Any]:
        """Have commands done by the node that the keys of a moving slot have gone to."""
        async with self._open(node) as client:
            pipeline = client.pipeline(transaction=False)
            pipeline.execute_command("ASKING")
            for command in commands:
                pipeline.execute_command(*command)
            replies: list[Any] = await pipeline.execute()
            return replies[1:]

    async def _client(self) -> Any:
        async with self._lock:
            if self._redis is None:
                found = await self._find()
                self._known, self._node = found.known, found.node
                self._redis = self._open(found.node)
            return self._redis

    async def _find(self) -> Found:
        looking = search(self._endpoint, self._known)
        try:
            question = next(looking)
            while True:
                try:
                    answer = await self._answer(question)
                except FAILURES as error:
                    question = looking.throw(error)
                else:
                    question = looking.send(answer)
        except StopIteration as done:
            found: Found = done.value
            return found

    async def _answer(self, question: Question) -> Any:
        sentinel = self._endpoint.kind is Kind.SENTINEL
        async with self._open(question.node, sentinel=sentinel) as client:
            return await client.execute_command(*question.command)

    def _open(self, node: Node, *, sentinel: bool = False) -> Any:
        retry = AsyncRetry(NoBackoff(), 1)
        return redis.asyncio.Redis(**settings(self._endpoint, node, sentinel=sentinel), retry=retry)
