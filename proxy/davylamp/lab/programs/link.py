"""A client's connection: opened, written in chosen segments, and its end classified."""

import asyncio
import errno
import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from davylamp.lab.programs import http1
from davylamp.lab.programs.addresses import Endpoint
from davylamp.lab.programs.report import Json, Reporter, excerpt
from davylamp.lab.programs.wire import WireStyle, segments

MAX_LINE = 131_072


class Outcome(StrEnum):
    """How an attempt ended, from the client's point of view."""

    RESET = "reset"
    REFUSED = "refused"
    TIMED_OUT = "timed_out"
    UNREACHABLE = "unreachable"
    UNRESOLVED = "unresolved"
    TLS_FAILED = "tls_failed"
    CLOSED = "closed"
    FINISHED = "finished"


# What a client behind a gateway that refuses it can see; nothing here is the pool's own word.
BLOCKED = frozenset({Outcome.RESET, Outcome.REFUSED, Outcome.TIMED_OUT, Outcome.UNREACHABLE})


# Kinds before numbers: TLS and resolver errors carry numbers of their own in ``errno``.
_BY_KIND: tuple[tuple[type[Exception], Outcome], ...] = (
    (TimeoutError, Outcome.TIMED_OUT),
    (ssl.SSLError, Outcome.TLS_FAILED),
    (socket.gaierror, Outcome.UNRESOLVED),
)
_BY_ERRNO = {
    errno.ECONNRESET: Outcome.RESET,
    errno.EPIPE: Outcome.RESET,  # what a write says after a reset that no read has seen
    errno.ECONNREFUSED: Outcome.REFUSED,
    errno.EHOSTUNREACH: Outcome.UNREACHABLE,
    errno.ENETUNREACH: Outcome.UNREACHABLE,
    errno.EACCES: Outcome.UNREACHABLE,
    errno.EPERM: Outcome.UNREACHABLE,
}


def outcome_of(error: Exception) -> Outcome:
    """Classify the exception that ended a connection; raise it again where it is none of these."""
    for kind, outcome in _BY_KIND:
        if isinstance(error, kind):
            return outcome
    if isinstance(error, OSError) and error.errno in _BY_ERRNO:
        return _BY_ERRNO[error.errno]
    # asyncio raises ConnectionResetError without a number for an end inside a TLS handshake.
    if isinstance(error, ConnectionError | EOFError):
        return Outcome.CLOSED
    raise error


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """How to connect and write; times in seconds.

    ``server_name`` is the TLS SNI, None for none (XMRig's default). ``tls_version`` fixes the
    version. Certificates are not verified, as miners do not, unless ``trust`` names a CA file.
    ``proxy`` is an HTTP proxy to go through, by CONNECT and without TLS.
    """

    tls: bool = False
    server_name: str | None = None
    tls_version: ssl.TLSVersion | None = None
    trust: str | None = None
    style: WireStyle = WireStyle.WHOLE
    gap: float = 0.002
    connect_timeout: float = 5.0
    patience: float = 10.0
    proxy: Endpoint | None = None

    def context(self) -> ssl.SSLContext:
        """Return the TLS context of one connection."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.trust is None or self.server_name is None:
            context.check_hostname = False
        if self.trust is None:
            context.verify_mode = ssl.CERT_NONE
        else:
            context.load_verify_locations(self.trust)
        if self.tls_version is not None:
            context.minimum_version = context.maximum_version = self.tls_version
        return context


class Link:
    """One open connection that says what it sends and receives."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        options: LinkOptions,
        reporter: Reporter,
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.options = options
        self.reporter = reporter
        self.answered = False

    @classmethod
    async def open(
        cls, endpoint: Endpoint, options: LinkOptions, reporter: Reporter, attempt: int = 0
    ) -> Self:
        """Resolve and connect; successive attempts try a name's addresses in turn.

        Raises OSError (ssl.SSLError and socket.gaierror among them).
        """
        async with asyncio.timeout(options.connect_timeout):
            loop = asyncio.get_running_loop()
            next_hop = options.proxy or endpoint
            found = await loop.getaddrinfo(next_hop.host, next_hop.port, type=socket.SOCK_STREAM)
            address = found[attempt % len(found)][4][0]
            reporter.say("connecting", address=str(address), port=next_hop.port)
            secure = (options.tls or endpoint.tls) and options.proxy is None
            # An empty server_hostname is asyncio's way to say: no SNI.
            reader, writer = await asyncio.open_connection(
                str(address),
                next_hop.port,
                limit=MAX_LINE,
                ssl=options.context() if secure else None,
                server_hostname=(options.server_name or "") if secure else None,
            )
            if options.proxy is not None:
                await _connect(endpoint, reader, writer)
        session = writer.get_extra_info("ssl_object")
        local = writer.get_extra_info("sockname")
        reporter.say(
            "connected",
            address=str(address),
            port=next_hop.port,
            local=str(Endpoint(local[0], local[1])),
            tls=session.version() if session else None,
        )
        return cls(reader, writer, options, reporter)

    async def send(self, *messages: Mapping[str, Json]) -> None:
        """Write messages, a line each, as one batch cut into segments the chosen way."""
        payload = b"".join(
            json.dumps(message, separators=(",", ":")).encode() + b"\n" for message in messages
        )
        for number, piece in enumerate(segments(self.options.style, self._outbound(payload))):
            if number:
                await asyncio.sleep(self.options.gap)
            self.writer.write(piece)
            await self._drain()
        self.reporter.say("sent", bytes=len(payload), text=excerpt(payload))

    async def receive(self) -> dict[str, Json]:
        """Return the next JSON object; raise ConnectionError or EOFError at the end."""
        while True:
            line = await self._inbound()
            self.answered = True
            self.reporter.say("received", bytes=len(line), text=excerpt(line))
            try:
                message = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ConnectionAbortedError("the peer does not speak JSON") from error
            if isinstance(message, dict):
                return message

    def _outbound(self, payload: bytes) -> bytes:
        """Return what goes onto the wire for these lines."""
        return payload

    async def _inbound(self) -> bytes:
        """Return the next line that the peer sent."""
        try:
            line = await self.reader.readline()
        except ValueError as error:
            raise ConnectionAbortedError("the peer sent a line without end") from error
        if not line:
            raise EOFError
        return line

    async def _drain(self) -> None:
        try:
            await self.writer.drain()
        except ConnectionResetError as error:
            # Where the end came while it waited it says no more than that; the reader knows why.
            raise self.reader.exception() or error from error

    def close(self) -> None:
        """Close without waiting for the peer."""
        self.writer.close()


async def _connect(
    endpoint: Endpoint, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Have an HTTP proxy open a tunnel; raise ConnectionError where it will not."""
    writer.write(http1.head_bytes(f"CONNECT {endpoint} HTTP/1.1", {"Host": endpoint}))
    head = await http1.read_head(reader)
    if head.start[1] != "200":
        raise ConnectionAbortedError(f"the proxy answered {head.start[1]}")
