"""What every asyncio program here shares: listening sockets, signals, an orderly end."""

import asyncio
import contextlib
import signal
import ssl
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

import click

from davylamp.errors import ConfigError, DavylampError
from davylamp.lab.programs.addresses import Endpoint
from davylamp.lab.programs.report import Listening

BACKLOG = 1024


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Turn our own errors into one line on stderr and exit code 2."""
    try:
        yield
    except DavylampError as error:
        raise click.UsageError(str(error)) from error


def listening_of(server: asyncio.Server, service: str) -> list[Listening]:
    """Return what a server listens on, with the port the kernel chose where 0 was asked."""
    names = [sock.getsockname() for sock in server.sockets]
    return [Listening(service, name[0], name[1]) for name in names]


async def listen(
    factory: Callable[[], asyncio.BaseProtocol],
    binds: Sequence[Endpoint],
    tls: ssl.SSLContext | None = None,
) -> list[asyncio.Server]:
    """Listen on every address with one protocol factory; raise ConfigError if one is taken."""
    loop = asyncio.get_running_loop()
    servers: list[asyncio.Server] = []
    for bind in binds:
        try:
            server = await loop.create_server(
                factory, bind.host, bind.port, ssl=tls, backlog=BACKLOG
            )
        except OSError as error:
            for opened in servers:
                opened.close()
            raise ConfigError(f"cannot listen on {bind}: {error.strerror or error}") from error
        servers.append(server)
    return servers


async def until_signal() -> None:
    """Wait for SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()


async def unless_signalled[T](work: Coroutine[Any, Any, T]) -> T | None:
    """Run the work; on SIGTERM or SIGINT cancel it, let it clean up, and return None."""
    task = asyncio.ensure_future(work)
    guard = asyncio.ensure_future(until_signal())
    await asyncio.wait({task, guard}, return_when=asyncio.FIRST_COMPLETED)
    for one in (task, guard):
        one.cancel()
    await asyncio.gather(task, guard, return_exceptions=True)
    return None if task.cancelled() else task.result()
