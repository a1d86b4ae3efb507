"""An HTTP proxy that opens tunnels (CONNECT, RFC 9110 section 9.3.6) to whatever is asked for."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import click

from davylamp.errors import ConfigError
from davylamp.lab.programs import http1
from davylamp.lab.programs.addresses import Endpoint, parse_endpoint
from davylamp.lab.programs.report import Reporter
from davylamp.lab.programs.shell import listen, listening_of, plain_errors, until_signal

MAX_CONNECTIONS = 512
IDLE_SECONDS = 120.0
_READ = 65_536
_OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"
_REFUSED = http1.head_bytes("HTTP/1.1 502 Bad Gateway", {"Content-Length": 0})


class Relay:
    """The proxy inside an asyncio program."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        if self._open >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        self._open += 1
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                head = await http1.read_head(reader)
            await self._tunnel(head, reader, writer)
        except (OSError, EOFError, ValueError):
            writer.transport.abort()  # it went away, or it is no HTTP
        finally:
            self._open -= 1
            writer.close()

    async def _tunnel(
        self, head: http1.Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        target = head.start[1]
        try:
            to = _target(head)
            inner, outer = await asyncio.open_connection(to.host, to.port)
        except (ConfigError, OSError) as error:
            self._reporter.say("refused", target=target[:200], error=str(error))
            writer.write(_REFUSED)
            await writer.drain()
            return
        self._reporter.say("tunnel", target=str(to))
        writer.write(_OPEN)
        try:
            ways = [
                asyncio.create_task(_pour(reader, outer)),
                asyncio.create_task(_pour(inner, writer)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        finally:
            outer.close()


def _target(head: http1.Head) -> Endpoint:
    """Return where a request wants to be led; ConfigError where it is not for a tunnel."""
    if head.start[0] != "CONNECT":
        raise ConfigError("only CONNECT is served")
    return parse_endpoint(head.start[1])


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_READ):
            writer.write(data)
            await writer.drain()


async def serve(binds: Sequence[Endpoint], reporter: Reporter) -> None:
    """Run the proxy until SIGTERM or SIGINT."""
    relay = Relay(reporter)
    servers = await listen(partial(_protocol, relay), binds)
    reporter.ready([one for server in servers for one in listening_of(server, "relay")])
    try:
        await until_signal()
    finally:
        for server in servers:
            server.close()


def _protocol(relay: Relay) -> asyncio.StreamReaderProtocol:
    return asyncio.StreamReaderProtocol(asyncio.StreamReader(limit=http1.MAX_HEAD), relay.serve)


@click.command()
@click.option("--bind", "binds", multiple=True, required=True, help="host:port; repeatable.")
def main(binds: tuple[str, ...]) -> None:
    """Run the proxy until SIGTERM."""
    with plain_errors():
        asyncio.run(serve([parse_endpoint(one) for one in binds], Reporter()))


if __name__ == "__main__":
    main()
