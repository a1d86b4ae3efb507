"""The server: routes, bounds, and an end in good order."""

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from davylamp import systemd
from davylamp.api import openapi
from davylamp.api.cases import CaseDesk
from davylamp.api.endpoint import Asked, Endpoint, NoQuery
from davylamp.api.failures import Failures
from davylamp.api.gate import Gate, host_check
from davylamp.api.kinship import KinshipDesk
from davylamp.api.listening import listening_of
from davylamp.api.login import LogInDesk
from davylamp.api.pages import page_routes
from davylamp.api.problems import problems
from davylamp.api.register import RegisterDesk
from davylamp.api.scopes import client_scopes, tokens_of
from davylamp.api.sessions import Sessions
from davylamp.api.sight import Sight
from davylamp.api.status import StatusDesk
from davylamp.api.stream import StreamDesk
from davylamp.api.traces import TraceDesk
from davylamp.errors import ConfigError
from davylamp.incidents.place import state_folder
from davylamp.wording import endpoint

CONNECTIONS = 128
IDLE_SECONDS = 20.0
"""How long a connection may stay without a whole request head."""
_HANDSHAKE_SECONDS = 5.0
_SHUTDOWN_SECONDS = 1.0

logger = logging.getLogger(__name__)


@asynccontextmanager
async def serving_api(sight: Sight) -> AsyncIterator[int]:
    """Serve while entered, and give the port; raise ConfigError where that cannot be."""
    config = sight.config.api
    listening = listening_of(config)
    gate = Gate(
        tokens_of(config, state_folder(sight.config)),
        Sessions(time.monotonic),
        Failures(time.monotonic),
        client_scopes(config),
        secure=listening.tls is not None,
    )
    stream = StreamDesk(sight)
    endpoints = (
        *StatusDesk(sight).endpoints(),
        *CaseDesk(sight).endpoints(),
        *KinshipDesk(sight).endpoints(),
        *RegisterDesk(sight).endpoints(),
        *TraceDesk(sight).endpoints(),
        *stream.endpoints(),
        *LogInDesk(gate).endpoints(),
    )
    app = _application(gate, endpoints, config.hosts)
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=_http_logger(),
        shutdown_timeout=_SHUTDOWN_SECONDS,
        keepalive_timeout=IDLE_SECONDS,
        lingering_time=1.0,
        auto_decompress=False,  # what a body unpacks to is bounded where it is read
    )
    await runner.setup()
    watching = asyncio.create_task(stream.run(), name="davylamp-api-watch")
    try:
        server = await _listen(runner, listening.host, listening.port, listening.tls)
        port = int(server.sockets[0].getsockname()[1])
        scheme = "http" if listening.tls is None else "https"
        logger.info(
            "the API and the dashboard are at %s://%s", scheme, endpoint(listening.host, port)
        )
        try:
            yield port
        finally:
            server.close()
    finally:
        watching.cancel()
        sight.board.hub.close()
        await runner.cleanup()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


def _application(
    gate: Gate, endpoints: Iterable[Endpoint], hosts: Iterable[str]
) -> web.Application:
    app = web.Application(middlewares=[problems, host_check(tuple(hosts))], client_max_size=0)

    async def describe(_: Asked[NoQuery, None]) -> web.Response:
        return web.Response(body=described, content_type="application/json")

    table = (
        *endpoints,
        Endpoint(
            method="GET",
            path="/api/v1/openapi.json",
            summary="This API as an OpenAPI document",
            handle=describe,
            answer="application/json",
            scope=None,
        ),
    )
    described = msgspec.json.encode(openapi.document(table))
    for one in table:
        app.router.add_route(one.method, one.path, one.handler(gate))
    app.add_routes(page_routes())
    return app


def _handed_over(host: str, port: int) -> socket.socket | None:
    """Return systemd's socket for us; raise ConfigError where it is not where we were told."""
    handed = systemd.handed_over("api")
    if handed is None:
        return None
    there = handed.getsockname()[:2]
    if there != (host, port):
        raise ConfigError(
            f"api.listen is {endpoint(host, port)}, and the socket that systemd opened is "
            f"{endpoint(str(there[0]), int(there[1]))}; say the same in both"
        )
    return handed


async def _listen(
    runner: web.AppRunner, host: str, port: int, tls: ssl.SSLContext | None
) -> asyncio.Server:
    serve = runner.server
    assert serve is not None

    def connection() -> asyncio.Protocol:
        return serve() if len(serve.connections) < CONNECTIONS else _Full()

    loop = asyncio.get_running_loop()
    handshake = _HANDSHAKE_SECONDS if tls is not None else None
    handed = _handed_over(host, port)
    try:
        if handed is not None:
            return await loop.create_server(
                connection, sock=handed, ssl=tls, ssl_handshake_timeout=handshake
            )
        return await loop.create_server(
            connection, host, port, ssl=tls, ssl_handshake_timeout=handshake, reuse_address=True
        )
    except OSError as error:
        taken = os.strerror(error.errno or 0)  # asyncio's words say the address again
        raise ConfigError(f"api.listen {host} port {port}: {taken}; choose another") from error


def _http_logger() -> logging.Logger:
    """Return a logger for aiohttp's server that keeps quiet about what is no HTTP.

    It has a traceback for each such request, and any peer could fill a disk with those.
    """
    logger = logging.getLogger(f"{__name__}.http")
    if not logger.filters:
        logger.addFilter(_about_more_than_syntax)
    return logger


def _about_more_than_syntax(record: logging.LogRecord) -> bool:
    return record.exc_info is None or not isinstance(record.exc_info[1], HttpProcessingError)


class _Full(asyncio.Protocol):
    """A connection that is one too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
