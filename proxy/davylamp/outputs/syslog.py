"""Events to a syslog receiver: UDP, a local Unix socket, TCP, or TLS.

Strategy: one message at a time, tried again with a growing pause until the receiver's kernel has
taken it. Meanwhile the fan-out's queue fills, and drops its oldest, so memory is bounded and nobody
else waits. Syslog has no receipts: what a TCP peer had not read when it died is lost (RFC 6587,
section 3.1), and shows as a gap in ``sequenceId``.
"""

import asyncio
import contextlib
import logging
import os
import socket
import ssl
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol
from urllib.parse import urlsplit

from davylamp.errors import ConfigError, why
from davylamp.events import AnyEvent
from davylamp.outputs.renderings.render import Render
from davylamp.outputs.syslog_message import LAST_SEQUENCE, Header, message

ATTEMPT_SECONDS = 10.0
FIRST_RETRY = 0.1
LAST_RETRY = 5.0

# RFC 5424, table 1: those that a program like ours may use, by their customary names.
_FACILITIES = {"user": 1, "daemon": 3, "auth": 4, "authpriv": 10} | {
    f"local{number}": 16 + number for number in range(8)
}
_PORTS = {"udp": 514, "tcp": 601, "tls": 6514}  # RFC 5426, RFC 3195 (registered), RFC 5425

logger = logging.getLogger(__name__)


class Transport(StrEnum):
    """How messages travel."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"
    UNIX = "unix"


@dataclass(frozen=True, slots=True)
class Address:
    """Where the receiver is; ``host`` is a path for a Unix socket."""

    transport: Transport
    host: str
    port: int = 0


def parse_address(url: str) -> Address:
    """Read ``tls://host:port`` and the like; raise ConfigError on anything else."""
    try:
        parts = urlsplit(url)
        transport, port = Transport(parts.scheme), parts.port
    except ValueError as error:
        raise _not_an_address(url) from error
    if transport is Transport.UNIX:
        if parts.netloc or not parts.path:
            raise _not_an_address(url)
        return Address(transport, parts.path)
    if not parts.hostname or parts.path.strip("/"):
        raise _not_an_address(url)
    return Address(transport, parts.hostname, port or _PORTS[transport])


def facility_number(name: str) -> int:
    """Return a facility's number; raise ConfigError if there is none of that name."""
    if name not in _FACILITIES:
        raise ConfigError(f"no syslog facility {name}; one of {', '.join(_FACILITIES)}")
    return _FACILITIES[name]


class _Road(Protocol):
    """An open way to the receiver."""

    async def send(self, data: bytes) -> None: ...

    async def close(self) -> None: ...


class SyslogSink:
    """A sink that sends RFC 5424 messages of at most ``limit`` bytes.

    ``tls`` is needed for TLS only, and verifies the receiver.
    """

    def __init__(  # noqa: PLR0913 - each is a key of the configuration
        self,
        address: Address,
        render: Render,
        *,
        facility: int = 16,
        enterprise: int = 32473,
        limit: int = 8192,
        tls: ssl.SSLContext | None = None,
        first_retry: float = FIRST_RETRY,
    ) -> None:
        self._address = address
        self._render = render
        self._header = Header(socket.gethostname(), os.getpid(), facility, enterprise)
        self._limit = limit
        self._tls = tls
        self._first_retry = first_retry
        self._sequence = 0
        self.trouble = ""
        self._road: _Road | None = None

    async def write(self, event: AnyEvent) -> None:
        """Send the event, as often as it takes; cancelled, it is not known to have been sent."""
        self._sequence = self._sequence % LAST_SEQUENCE + 1
        data = message(event, self._render, self._header, self._sequence, self._limit)
        delay = self._first_retry
        while True:
            try:
                async with asyncio.timeout(ATTEMPT_SECONDS):
                    await self._send(data)
            except (OSError, TimeoutError) as error:
                await self._drop_road()
                before = self.trouble
                self.trouble = f"syslog at {self._address.host} is away: {why(error)}"
                if not before:
                    logger.warning("%s", self.trouble)
            else:
                if self.trouble:
                    logger.warning("syslog at %s is back", self._address.host)
                self.trouble = ""
                return
            await asyncio.sleep(delay)
            delay = min(delay * 2, LAST_RETRY)

    async def close(self) -> None:
        """Close the connection."""
        await self._drop_road()

    async def _send(self, data: bytes) -> None:
        if self._road is None:
            self._road = await self._open()
        await self._road.send(data)

    async def _open(self) -> _Road:
        address = self._address
        match address.transport:
            case Transport.UDP:
                return await _udp(address)
            case Transport.UNIX:
                return _unix(address)
            case Transport.TCP:
                streams = await asyncio.open_connection(address.host, address.port)
            case Transport.TLS:
                assert self._tls is not None
                streams = await asyncio.open_connection(address.host, address.port, ssl=self._tls)
        return _Stream(*streams)

    async def _drop_road(self) -> None:
        road, self._road = self._road, None
        if road is not None:
            await road.close()


class _Datagrams:
    """A connected datagram socket: what does not fit waits for room, whole."""

    def __init__(self, made: socket.socket) -> None:
        self._socket = made

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def close(self) -> None:
        self._socket.close()


class _Stream:
    """A TCP or TLS connection, its messages framed by octet counting (RFC 6587, 3.4.1)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._hangup = asyncio.create_task(reader.read(1))  # a receiver says nothing until it ends

    async def send(self, data: bytes) -> None:
        if self._hangup.done() or self._writer.is_closing():
            raise ConnectionResetError("the receiver closed the connection")
        self._writer.write(b"%d %b" % (len(data), data))
        await self._writer.drain()

    async def close(self) -> None:
        self._hangup.cancel()
        self._writer.close()
        await asyncio.gather(self._hangup, return_exceptions=True)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1.0):
                await self._writer.wait_closed()


async def _udp(address: Address) -> _Road:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
    family, kind, proto, _, target = found[0]
    made = socket.socket(family, kind, proto)
    made.setblocking(False)
    try:
        await loop.sock_connect(made, target)
    except BaseException:
        made.close()
        raise
    return _Datagrams(made)


def _unix(address: Address) -> _Road:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.setblocking(False)
    try:
        made.connect(address.host)
    except BaseException:
        made.close()
        raise
    return _Datagrams(made)


def _not_an_address(url: str) -> ConfigError:
    return ConfigError(
        f"{url} is no syslog address; write udp://host:514, tcp://host:601, tls://host:6514 "
        "or unix:///path/of/socket"
    )
