"""The OTLP/HTTP receiver: ``execute_tool`` spans become tool calls in the lineage store.

A span is sent when it has ended. What is blocked while a tool call runs is therefore attributed to
the container at once and to the call once its span is here, by time.
"""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from itertools import islice

from aiohttp import web
from msgspec.structs import replace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from davylamp.api import otlp
from davylamp.api.endpoint import Asked, Endpoint, read_body
from davylamp.api.otlp import JSON, PROTOBUF, TracedCall, Whereabouts
from davylamp.api.scopes import Scope
from davylamp.api.sight import Sight
from davylamp.attribution.model import Binding, ToolCall
from davylamp.attribution.table import SHORT_ID
from davylamp.errors import AmbiguousNameError, ConfigError
from davylamp.events import Struct

_BODIES, _READING = 8, 2
"""Requests whose bodies are received, and that are unpacked and read, at a time."""


class TraceDesk:
    """Takes traces; what a trainer needs is the scope ``register``."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight
        self._receiving = asyncio.Semaphore(_BODIES)
        self._reading = asyncio.Semaphore(_READING)

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the route, where OpenTelemetry has it."""
        return (
            Endpoint(
                method="POST",
                path="/v1/traces",
                summary="OTLP/HTTP traces: their execute_tool spans become tool calls",
                handle=self.take,
                answer=PROTOBUF,
                scope=Scope.REGISTER,
                takes=(PROTOBUF, JSON),
            ),
        )

    async def take(self, asked: Asked[Struct, None]) -> web.Response:
        """Record the tool calls of a request; what cannot be recorded is counted in the answer."""
        request, kind = asked.request, asked.request.content_type
        if kind not in {PROTOBUF, JSON}:
            raise web.HTTPUnsupportedMediaType(text=f"send {PROTOBUF} or {JSON}")
        encoding = request.headers.get("Content-Encoding", "")
        async with self._receiving:
            body = await read_body(request, otlp.BODY_BYTES)
            try:
                async with self._reading:
                    calls, beyond = await asyncio.to_thread(_read, body, encoding, kind)
            except ConfigError as error:
                status = HTTPStatus.BAD_REQUEST.value
                said = otlp.refusal(kind, str(error))
                return web.Response(status=status, body=said, content_type=kind)
        refused = [f"more than {otlp.CALLS} tool calls in one request"] * beyond
        known = self._sight.table.containers({one.where.container_id for one in calls})
        for one in calls:
            if why := await self._record(one, known):
                refused.append(why)
        return _answer(kind, refused)

    async def _record(self, traced: TracedCall, known: Sequence[Binding]) -> str:
        """Record a call, or return why not."""
        store, call = self._sight.store, traced.call
        try:
            lifecycle = await self._lifecycle(traced.where, call.started, known)
            if not lifecycle:
                return "nobody has bound the container that a span names"
            placed: ToolCall = replace(call, lifecycle_id=lifecycle)
            begun = await store.run(store.operations.call(lifecycle, call.tool_call_id))
            if begun is not None and begun.ended is None:
                # The trainer said that it began, and knows more of it than the span does.
                traceparent = begun.traceparent or call.traceparent
                placed = replace(begun, ended=placed.ended, traceparent=traceparent)
            await store.run(store.operations.put_call(placed))
        except ConfigError as error:
            return str(error)
        return ""

    async def _lifecycle(self, where: Whereabouts, at: float, known: Sequence[Binding]) -> str:
        """Return the lifecycle that ran there at that time: by container id, name, address.

        Raises AmbiguousNameError where all that tells of it is a name that several had.
        """
        store = self._sight.store
        shared: AmbiguousNameError | None = None
        for binding in reversed(known):
            if _same_id(binding.container_id, where.container_id) and binding.covers(at):
                return binding.lifecycle_id
        for name in where.names:
            try:
                found = await store.run(store.operations.resolve(name, "", at))
            except AmbiguousNameError as error:
                shared = error  # the next name, or an address, may be one container's
                continue
            if found:
                return found
        for address in where.addresses:
            try:
                found = await store.run(store.operations.resolve("", address, at))
            except ConfigError:
                continue  # no address; the next one may be
            if found:
                return found
        if shared is not None:
            raise shared
        return ""


def _read(body: bytes, encoding: str, kind: str) -> tuple[list[TracedCall], int]:
    """Return the tool calls of a body, and how many there are beyond the bound."""
    calls = otlp.traced_calls(otlp.parsed(otlp.unpacked(body, encoding), kind))
    return list(islice(calls, otlp.CALLS)), sum(1 for _ in calls)


def _same_id(ours: str, theirs: str) -> bool:
    if min(len(ours), len(theirs)) < SHORT_ID:
        return False
    return ours.startswith(theirs) or theirs.startswith(ours)


def _answer(kind: str, refused: Sequence[str]) -> web.Response:
    answer = ExportTraceServiceResponse()
    if refused:
        said = "; ".join(dict.fromkeys(refused))[:1000]
        partial = ExportTracePartialSuccess(rejected_spans=len(refused), error_message=said)
        answer.partial_success.CopyFrom(partial)
    body = otlp.as_json(answer) if kind == JSON else answer.SerializeToString()
    return web.Response(body=body, content_type=kind)
