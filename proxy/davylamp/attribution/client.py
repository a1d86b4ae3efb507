"""The trainer's client: says which run, rollout and tool call a sandbox is executing.

    with Client() as lineage:
        lineage.bind(ip="10.0.0.7", container="sandbox-7", run_id="rlhf-12")
        with lineage.tool_call(container="sandbox-7", tool="bash", step=3):
            run_the_tool()

A trainer never fails for want of Redis: what it says is kept (in order, bounded) and sent when
the store is back; a warning is logged under ``davylamp.lineage``. What is *wrong* (an address that
is none) raises ConfigError at once.
"""

import functools
import inspect
import logging
import time
import uuid
from collections.abc import Callable, Generator, Mapping
from typing import Any, Self

import msgspec

from davylamp.attribution import model
from davylamp.attribution.feedback import FeedbackOperations, RolloutVerdict
from davylamp.attribution.model import Binding, Grade, ToolCall
from davylamp.attribution.outbox import Outbox
from davylamp.attribution.reader import follow
from davylamp.attribution.store import Store
from davylamp.errors import ConfigError

_log = logging.getLogger("davylamp.lineage")
_CLOSE_SECONDS = 2.0
_IDLE_SECONDS = 300.0


class Client:
    """A connection to the lineage store; safe to share between threads.

    ``url`` names a server, a Sentinel's service or a Cluster, as `endpoint` has the forms; without
    it ``$DAVYLAMP_LINEAGE_URL``, else the embedded store of the gateway on this host.
    ``source`` is what bindings say they come from.
    """

    def __init__(self, url: str | None = None, *, source: str = "trainer") -> None:
        self._store = Store(url)
        self._outbox = Outbox()
        self._source = source

    @property
    def waiting(self) -> int:
        """How many records wait for the store to come back."""
        return len(self._outbox)

    def bind(  # noqa: PLR0913 - one keyword per field of the record
        self,
        *,
        ip: str,
        container: str = "",
        lifecycle_id: str = "",
        container_id: str = "",
        image: str = "",
        run_id: str = "",
        experiment_id: str = "",
        rollout_id: str = "",
        trajectory_id: str = "",
        step: int | None = None,
        traceparent: str = "",
        labels: Mapping[str, str] | None = None,
        grade: Grade = Grade.BOUND,
        valid_from: float | None = None,
    ) -> Binding:
        """Say which container holds an address, from now or ``valid_from`` (seconds) on.

        Best called before the container starts. Repeating it adds what is new; binding the
        address to another container releases the one before. Returns the binding as stored, or
        as it will be asked for when the store is away. Raises ConfigError for unfit fields.
        """
        wanted = Binding(
            ip=ip,
            lifecycle_id=lifecycle_id,
            valid_from=time.time() if valid_from is None else valid_from,
            container=container,
            container_id=container_id,
            image=image,
            run_id=run_id,
            experiment_id=experiment_id,
            rollout_id=rollout_id,
            trajectory_id=trajectory_id,
            step=step,
            traceparent=traceparent,
            grade=grade,
            source=self._source,
        )
        checked = model.checked_binding(model.with_labels(wanted, labels or {}))
        operations = self._store.operations
        stored = self._outbox.send(lambda: self._store.run(operations.bind(checked, time.time())))
        return stored if stored is not None else checked

    def release(
        self,
        *,
        ip: str = "",
        container: str = "",
        lifecycle_id: str = "",
        at: float | None = None,
    ) -> None:
        """Say that an address, or every address of a container or lifecycle, was given up.

        With both an address and a lifecycle id, only that lifecycle's hold ends, however late
        this arrives. Releasing what is not held does nothing.
        """
        when = time.time() if at is None else at
        operations = self._store.operations
        if ip:
            address = model.canonical_address(ip)
            self._outbox.send(
                lambda: self._store.run(
                    operations.release(address, lifecycle_id, when, time.time())
                )
            )
        else:
            subject = lifecycle_id or container
            if not subject:
                raise ConfigError("release() needs an ip, a container or a lifecycle_id")
            self._outbox.send(
                lambda: self._store.run(operations.release_container(subject, when, time.time()))
            )

    def tool_call(  # noqa: PLR0913 - one keyword per field of the record
        self,
        *,
        container: str = "",
        ip: str = "",
        lifecycle_id: str = "",
        tool: str = "",
        tool_call_id: str = "",
        step: int | None = None,
        rollout_id: str = "",
        trajectory_id: str = "",
        traceparent: str = "",
    ) -> "ToolCallScope":
        """Return a context manager, and decorator, for the time a tool call runs.

        The container is named by its name, lifecycle id or address. Without ``tool_call_id``
        each entry makes a new one.
        """
        if not (container or ip or lifecycle_id):
            raise ConfigError("tool_call() needs a container, an ip or a lifecycle_id")
        wanted = ToolCall(
            tool_call_id=tool_call_id or "unnamed",
            lifecycle_id=lifecycle_id,
            started=0.0,
            tool=tool,
            step=step,
            rollout_id=rollout_id,
            trajectory_id=trajectory_id,
            traceparent=traceparent,
        )
        model.checked_call(wanted)
        wanted = msgspec.structs.replace(wanted, tool_call_id=tool_call_id)
        return ToolCallScope(self._put_call, wanted, container, ip and model.canonical_address(ip))

    def rollout_verdict(self, *, run_id: str, rollout_id: str) -> RolloutVerdict | None:
        """Return whether a rollout may be learned from; None where nothing speaks against it.

        Raises LineageUnavailable where the store cannot say.
        """
        operations = FeedbackOperations.beside(self._store.operations)
        return self._store.run(operations.verdict(run_id, rollout_id))

    def feedback(
        self,
        *,
        group: str,
        consumer: str = "",
        wait: float | None = None,
        since_start: bool = False,
        idle: float = _IDLE_SECONDS,
    ) -> Generator[RolloutVerdict]:
        """Yield verdicts on rollouts as they come, each to one reader of the ``group``.

        A verdict is done with when the next one is asked for. What a reader (``consumer``; without
        it a name of its own) left undone is another's after ``idle`` seconds. Ends when nothing
        came for ``wait`` seconds; without it, never. A group that is new begins now, or with
        ``since_start`` at the oldest verdict on record. While the store is away it waits.
        """
        name = consumer or f"reader-{uuid.uuid4().hex[:12]}"
        operations = FeedbackOperations.beside(self._store.operations)
        return follow(
            self._store, operations, group, name, wait=wait, since_start=since_start, idle=idle
        )

    def close(self, seconds: float = _CLOSE_SECONDS) -> None:
        """Give what waits at most that long to be sent, and close the connections."""
        self._outbox.close(seconds)
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _put_call(self, call: ToolCall, container: str, ip: str) -> None:
        self._outbox.send(lambda: self._write_call(call, container, ip))

    def _write_call(self, call: ToolCall, container: str, ip: str) -> None:
        operations = self._store.operations
        if call.lifecycle_id:
            self._store.run(operations.put_call(call))
        elif self._store.run(operations.put_call_of(call, container, ip)) is None:
            _log.warning(
                "tool call %s waits: %s is not bound; call bind() first",
                call.tool_call_id,
                container or ip,
            )


class ToolCallScope:
    """A tool call from its beginning to its end, told to the store at both.

    As a decorator it is one call an invocation, for plain and async functions alike.
    """

    def __init__(
        self,
        put: Callable[[ToolCall, str, str], None],
        wanted: ToolCall,
        container: str,
        ip: str,
    ) -> None:
        self._put = put
        self._wanted = wanted
        self._container = container
        self._ip = ip
        self._running: list[ToolCall] = []

    def __enter__(self) -> ToolCall:
        call = msgspec.structs.replace(
            self._wanted,
            tool_call_id=self._wanted.tool_call_id or uuid.uuid4().hex,
            started=time.time(),
        )
        self._running.append(call)
        self._put(call, self._container, self._ip)
        return call

    def __exit__(self, *_: object) -> None:
        call = self._running.pop()
        ended = msgspec.structs.replace(call, ended=max(call.started, time.time()))
        self._put(ended, self._container, self._ip)

    def __call__[**P, T](self, function: Callable[P, T]) -> Callable[P, T]:
        """Return the function with every invocation recorded as a tool call."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def recorded_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                with self._again():
                    return await function(*args, **kwargs)

            return recorded_async  # type: ignore[return-value]  # T is the coroutine

        @functools.wraps(function)
        def recorded(*args: P.args, **kwargs: P.kwargs) -> T:
            with self._again():
                return function(*args, **kwargs)

        return recorded

    def _again(self) -> "ToolCallScope":
        return ToolCallScope(self._put, self._wanted, self._container, self._ip)
