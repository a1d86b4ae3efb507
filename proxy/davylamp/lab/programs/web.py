"""The benign services of the outside world, and the one that turns out not to be.

HTTP/1.1 with keep-alive, in the clear and over TLS: ``/bytes/N`` (content with a known SHA-256),
``/sha256/N``, ``/echo``, ``/slow/SECONDS``, ``/rpc`` (JSON-RPC 2.0 over POST). JSON-RPC over raw
TCP lines on ports of its own. On an HTTP connection a request that starts with ``{`` hands the
connection to the pool's conversation: the peer of a miner that starts late. A WebSocket is the
same conversation, a line a text frame.
"""

import asyncio
import re
import ssl
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click

from davylamp.lab.programs import content, http1, rpc, websocket
from davylamp.lab.programs.addresses import Endpoint, parse_endpoint
from davylamp.lab.programs.certs import certificate
from davylamp.lab.programs.dialogue import Dialogue, Settings
from davylamp.lab.programs.ledger import Layer, Ledger
from davylamp.lab.programs.report import Reporter
from davylamp.lab.programs.shell import listen, listening_of, plain_errors, until_signal

MAX_CONNECTIONS = 2048
IDLE_SECONDS = 120.0
MAX_SLOW = 60.0
_TICK = 0.1
_READ = 65_536
_PATH = re.compile(r"/(bytes|sha256|slow)/(\d{1,11}(?:\.\d{1,3})?)")


type Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class WebOptions:
    """What the services listen on."""

    binds: tuple[Endpoint, ...]
    tls_binds: tuple[Endpoint, ...]
    rpc_binds: tuple[Endpoint, ...]


class Web:
    """The services inside an asyncio program."""

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        self._ledger = ledger
        self._settings = settings
        self._tasks: set[asyncio.Task[None]] = set()

    async def http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one HTTP connection until its peer, idleness or nonsense ends it."""
        await self._hold(self._http(reader, writer), writer)

    async def rpc_lines(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve JSON-RPC, a request a line."""
        await self._hold(_rpc_lines(reader, writer), writer)

    async def stop(self) -> None:
        """End every connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._ledger.close()

    async def _hold(self, work: Coroutine[Any, Any, None], writer: asyncio.StreamWriter) -> None:
        """Serve one connection: bounded in number, closed at the end whatever ends it."""
        if len(self._tasks) >= MAX_CONNECTIONS:
            work.close()
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await work
        except (OSError, EOFError, ValueError, asyncio.CancelledError):
            # The peer went away, or talks nonsense (readline says ValueError where a line has no
            # end), or the program ends: there is nobody to tell.
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                first = await reader.read(1)
                if not first:
                    return
                if first == b"{":
                    break
                head = await http1.read_head(reader, first)
            if websocket.wants_upgrade(head):
                writer.write(websocket.accepted(head))
                await self._converse(_Framed(reader, writer), writer)
                return
            await _respond(head, reader, writer)
            if head.fields.get("connection", "").lower() == "close":
                return
        await self._converse(_Plain(reader, writer, first), writer)

    async def _converse(self, words: "_Plain | _Framed", writer: asyncio.StreamWriter) -> None:
        """Be the pool from here on; the ledger's account begins here."""
        peer, local = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
        entry = self._ledger.opened(str(Endpoint(peer[0], peer[1])), local[1])
        dialogue, end = Dialogue(self._settings), None
        try:
            while data := await words.hear():
                entry.bytes_received(data, Layer.WIRE)
                exchange = dialogue.receive(data, time.time())
                scanner = dialogue.scanner
                entry.exchanged(exchange, scanner.complete, scanner.terminated)
                entry.bytes_sent(exchange.reply, Layer.WIRE)
                await words.say(exchange.reply)
                if exchange.fault:
                    entry.event("fault", reason=exchange.fault)
                    return
        except ConnectionError as error:
            end = error
            raise
        finally:
            entry.closed(end)


class _Plain:
    """The conversation as bytes; the first of them was read already."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._first = first

    async def hear(self) -> bytes:
        """Return what came next, nothing at the end."""
        first, self._first = self._first, b""
        return first or await self._reader.read(_READ)

    async def say(self, reply: bytes) -> None:
        """Send lines."""
        self._writer.write(reply)
        await self._writer.drain()


class _Framed:
    """The conversation as text frames of a WebSocket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def hear(self) -> bytes:
        """Return the next frame's payload; raise EOFError at the end."""
        return await websocket.read_frame(self._reader)

    async def say(self, reply: bytes) -> None:
        """Send each line as a frame."""
        for line in reply.splitlines(keepends=True):
            self._writer.write(websocket.frame(line))
        await self._writer.drain()


async def _rpc_lines(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(rpc.answer(line) + b"\n")
        await writer.drain()


async def _respond(
    head: http1.Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer one request."""
    if head.length > http1.MAX_BODY or "transfer-encoding" in head.fields:
        raise ConnectionAbortedError("a request body of known and bounded length is wanted")
    body = await reader.readexactly(head.length)
    method, path, _ = head.start
    asked = _PATH.fullmatch(path)
    match method, asked[1] if asked else path:
        case "GET", "bytes" if asked and (size := int(float(asked[2]))) <= content.MAX_BYTES:
            await _send_content(size, writer)
        case "GET", "sha256" if asked and (size := int(float(asked[2]))) <= content.MAX_BYTES:
            # In a thread: hashing a gigabyte must not hold up the other connections.
            told = await asyncio.to_thread(content.digest, size)
            _send(writer, told.encode() + b"\n")
        case "GET", "slow" if asked and (seconds := float(asked[2])) <= MAX_SLOW:
            await _send_slowly(seconds, writer)
        case "POST", "/echo":
            _send(writer, body)
        case "POST", "/rpc":
            _send(writer, rpc.answer(body), kind="application/json")
        case "GET", "/":
            _send(writer, b"the lab's web server\n")
        case _:
            _send(writer, b"no such thing\n", status="404 Not Found")
    await writer.drain()


def _send(
    writer: asyncio.StreamWriter,
    body: bytes,
    kind: str = "text/plain",
    status: str = "200 OK",
) -> None:
    fields = {"Content-Type": kind, "Content-Length": len(body)}
    writer.write(http1.head_bytes(f"HTTP/1.1 {status}", fields) + body)


async def _send_content(size: int, writer: asyncio.StreamWriter) -> None:
    fields = {"Content-Type": "application/octet-stream", "Content-Length": size}
    writer.write(http1.head_bytes("HTTP/1.1 200 OK", fields))
    for piece in content.pieces(size):
        writer.write(piece)
        await writer.drain()


async def _send_slowly(seconds: float, writer: asyncio.StreamWriter) -> None:
    """Send a tick each tenth of a second, chunked (RFC 9112 section 7.1)."""
    fields = {"Content-Type": "text/plain", "Transfer-Encoding": "chunked"}
    writer.write(http1.head_bytes("HTTP/1.1 200 OK", fields))
    for _ in range(round(seconds / _TICK)):
        writer.write(b"5\r\ntick\n\r\n")
        await writer.drain()
        await asyncio.sleep(_TICK)
    writer.write(b"0\r\n\r\n")


async def serve(options: WebOptions, web: Web, context: ssl.SSLContext, reporter: Reporter) -> None:
    """Run the services until SIGTERM or SIGINT."""
    wanted: tuple[tuple[str, tuple[Endpoint, ...], Handler, ssl.SSLContext | None], ...] = (
        ("http", options.binds, web.http, None),
        ("https", options.tls_binds, web.http, context),
        ("rpc", options.rpc_binds, web.rpc_lines, None),
    )
    servers, listening = [], []
    for service, binds, handler, tls in wanted:
        for server in await listen(partial(_protocol, handler), binds, tls):
            servers.append(server)
            listening += listening_of(server, service)
    reporter.ready(listening)
    try:
        await until_signal()
    finally:
        for server in servers:
            server.close()
        await web.stop()


def _protocol(handler: Handler) -> asyncio.StreamReaderProtocol:
    return asyncio.StreamReaderProtocol(asyncio.StreamReader(limit=http1.MAX_HEAD), handler)


@click.command(context_settings={"show_default": True})
@click.option("--bind", "binds", multiple=True, help="host:port for HTTP; repeatable.")
@click.option("--tls-bind", "tls_binds", multiple=True, help="host:port for HTTPS; repeatable.")
@click.option("--rpc-bind", "rpc_binds", multiple=True, help="host:port for JSON-RPC lines.")
@click.option("--cert", type=click.Path(path_type=Path), help="PEM chain; made anew if absent.")
@click.option("--key", type=click.Path(path_type=Path), help="PEM key of --cert.")
@click.option("--record", type=click.Path(path_type=Path), help="Bytes of late miners go here.")
@click.option("--summary", type=click.Path(path_type=Path), help="Counts of late miners go here.")
@click.option("--difficulty", default=1e-5, help="Stratum difficulty for late miners.")
def main(  # noqa: PLR0913, PLR0917 - one parameter an option
    binds: tuple[str, ...],
    tls_binds: tuple[str, ...],
    rpc_binds: tuple[str, ...],
    cert: Path | None,
    key: Path | None,
    record: Path | None,
    summary: Path | None,
    difficulty: float,
) -> None:
    """Run the benign services until SIGTERM."""
    if difficulty <= 0:
        raise click.UsageError("the difficulty must be above zero")
    with plain_errors(), certificate(cert, key) as leaf:
        options = WebOptions(
            tuple(parse_endpoint(one) for one in binds),
            tuple(parse_endpoint(one) for one in tls_binds),
            tuple(parse_endpoint(one) for one in rpc_binds),
        )
        reporter = Reporter()
        web = Web(Ledger(reporter, record, summary), Settings(difficulty))
        asyncio.run(serve(options, web, leaf.server_context(), reporter))


if __name__ == "__main__":
    main()
