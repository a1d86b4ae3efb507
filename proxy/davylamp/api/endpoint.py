"""One entry of the route table: what it takes and gives, and how a request becomes a call.

The same entry makes the route and its part of the OpenAPI document, so that neither can say what
the other does not do.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from davylamp.api.gate import NOBODY, Caller, Gate
from davylamp.api.scopes import Scope
from davylamp.events import Struct

SECONDS = 15.0
"""How long a request may take, its body included; streams have their own bound."""
BODY_BYTES = 64 * 1024
_JSON = "application/json"
_PATH_CHARACTERS = 512


class NoQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """No query at all."""


@dataclass(frozen=True, slots=True)
class Asked[Q, B]:
    """A request that was let in: who asks, and what was read of it."""

    request: web.Request
    caller: Caller
    path: Mapping[str, str]
    query: Q
    body: B


type Answer = Struct | web.StreamResponse
type Handle = Callable[[Asked[Any, Any]], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A route. ``answer`` is a type for JSON, or another media type; ``scope`` None lets all in.

    ``body`` is the type of a JSON body, None where the handler reads its own or there is none.
    ``problems`` are statuses of its own, beside those that every route has. A ``stream`` has no end
    within `SECONDS`.
    """

    method: str
    path: str
    summary: str
    handle: Handle
    answer: Any
    scope: Scope | None = Scope.READ
    query: type[Struct] = NoQuery
    body: Any = None
    body_bytes: int = BODY_BYTES
    status: HTTPStatus = HTTPStatus.OK
    problems: tuple[HTTPStatus, ...] = ()
    stream: bool = False
    takes: tuple[str, ...] = ()
    """Media types of a body that the handler reads itself."""
    events: Mapping[str, type[Struct]] = field(default_factory=dict)
    """What a stream sends, by the event's name."""

    def handler(self, gate: Gate) -> Handler:
        """Return what aiohttp calls."""

        async def handle(request: web.Request) -> web.StreamResponse:
            if self.stream:
                return await self._answered(gate, request)
            async with asyncio.timeout(SECONDS):
                return await self._answered(gate, request)

        return handle

    async def _answered(self, gate: Gate, request: web.Request) -> web.StreamResponse:
        caller = NOBODY if self.scope is None else gate.admit(request, self.scope)
        asked = Asked(
            request, caller, _path(request), self._query(request), await self._body(request)
        )
        answer = await self.handle(asked)
        if isinstance(answer, web.StreamResponse):
            return answer
        return web.Response(
            status=self.status.value, body=msgspec.json.encode(answer), content_type=_JSON
        )

    def _query(self, request: web.Request) -> Struct:
        try:
            # Text becomes numbers and truth values, as the fields are declared.
            found: Struct = msgspec.convert(dict(request.query), self.query, strict=False)
        except msgspec.ValidationError as error:
            raise web.HTTPBadRequest(text=f"query: {error}") from None
        return found

    async def _body(self, request: web.Request) -> Any:
        if self.body is None:
            return None
        if request.content_type != _JSON:
            raise web.HTTPUnsupportedMediaType(text=f"send {_JSON}")
        raw = await read_body(request, self.body_bytes)
        try:
            return msgspec.json.decode(raw, type=self.body)
        except msgspec.ValidationError as error:
            raise web.HTTPUnprocessableEntity(text=str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise web.HTTPBadRequest(text=f"the body is not JSON: {error}") from None


async def read_body(request: web.Request, most: int) -> bytes:
    """Return a request's body; raise a 413 once it is seen to be longer than ``most`` bytes."""
    taken = bytearray()
    if (request.content_length or 0) <= most:
        async for chunk in request.content.iter_any():
            taken += chunk
            if len(taken) > most:
                break
        else:
            return bytes(taken)
    raise web.HTTPRequestEntityTooLarge(
        max_size=most, actual_size=len(taken), text=f"a body here has at most {most} bytes"
    )


def _path(request: web.Request) -> Mapping[str, str]:
    found = dict(request.match_info)
    if any(len(value) > _PATH_CHARACTERS or not value.isprintable() for value in found.values()):
        raise web.HTTPNotFound(text="nothing has such a name")
    return found
