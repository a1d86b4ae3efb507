"""A small client of the Docker Engine API, over its Unix socket or TCP.

It speaks the version that ``/_ping`` offers, at most ``NEWEST`` (engine 25 and later refuse old
ones, older engines new ones). Every answer is read up to a bound and within a time; the stream of
events has neither end nor time, but each line of it has a bound. Whatever fails is an EngineError.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
import msgspec
from yarl import URL

from davylamp.engines.docker_model import (
    UNREADABLE,
    Container,
    Event,
    ExecState,
    Executed,
    Info,
    Listed,
    Made,
    Network,
    Outcome,
    Version,
)
from davylamp.engines.reading import bounded, lines, printable
from davylamp.errors import ConfigError, EngineError

DEFAULT_URL = "unix:///var/run/docker.sock"
NEWEST = (1, 44)
ANSWER_BYTES = 32 * 1024 * 1024
"""A list of tens of thousands of containers, each with its labels."""
LINE_BYTES = 1024 * 1024
"""One event with all the labels of its container."""
_MESSAGE = 300
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
_API = re.compile(r"1\.([0-9]{1,4})")
_FATES = {304: Outcome.UNCHANGED, 404: Outcome.GONE, 409: Outcome.CONFLICT}

_ENDLESS = aiohttp.ClientTimeout(total=None)

type Filters = Mapping[str, Sequence[str]]


class DockerEngine:
    """One engine. Safe to use from several tasks of one loop.

    ``url`` is ``unix:///PATH`` or ``tcp://HOST:PORT``; ``seconds`` bound each answer. Raises
    ConfigError for a URL that is unfit.
    """

    def __init__(self, url: str = DEFAULT_URL, *, seconds: float = 10.0) -> None:
        self.url = url
        self._socket, self._base = _parse(url)
        self._seconds = seconds
        self._timeout = aiohttp.ClientTimeout(total=seconds)
        self._session: aiohttp.ClientSession | None = None
        self._version = ""

    # -- asking -----------------------------------------------------------------------------

    async def ping(self) -> str:
        """Return the API version that the engine offers, as ``1.41``."""
        answer = await self._send("GET", "/_ping")
        offered = answer.headers.get("Api-Version", "")
        if not _API.fullmatch(offered):
            raise EngineError(f"{self.url} answers, but not as a Docker engine; check the address")
        return offered

    async def version(self) -> Version:
        """Return what the engine is."""
        return self._read(await self._ask("GET", "/version"), Version)

    async def info(self) -> Info:
        """Return the engine's id and clock."""
        return self._read(await self._ask("GET", "/info"), Info)

    async def containers(
        self, *, every: bool = False, filters: Filters | None = None
    ) -> tuple[Listed, ...]:
        """Return the containers that run, or ``every`` one."""
        query = {"all": "1" if every else "0", **_filters(filters)}
        answer = await self._ask("GET", "/containers/json", query)
        return self._read(answer, tuple[Listed, ...])

    async def inspect(self, container: str) -> Container | None:
        """Return all about a container (id or name), or None where there is none."""
        answer = await self._ask("GET", f"/containers/{_named(container)}/json", also=(404,))
        return None if answer.status == 404 else self._read(answer, Container)

    async def networks(self, filters: Filters | None = None) -> tuple[Network, ...]:
        """Return the networks."""
        answer = await self._ask("GET", "/networks", _filters(filters))
        return self._read(answer, tuple[Network, ...])

    async def events(
        self,
        *,
        since: float | None = None,
        until: float | None = None,
        filters: Filters | None = None,
    ) -> AsyncIterator[Event]:
        """Yield events as they happen, after those since a time that the engine still has.

        Times are seconds since the epoch by the engine's clock. An engine keeps its last 256
        events, and none over its restart. Without ``until`` the stream ends only with the engine;
        that end is a plain return. Close the iterator to let go of the connection.
        """
        query = _filters(filters)
        for name, value in (("since", since), ("until", until)):
            if value is not None:
                query[name] = f"{value:.9f}"
        where = self._url(await self._versioned("/events"), query)
        try:
            async with asyncio.timeout(self._seconds):
                response = await self._opened().get(where, timeout=_ENDLESS)
            async with response:
                if response.status != 200:
                    raise _refusal(
                        "GET /events", response.status, await bounded(response, ANSWER_BYTES)
                    )
                async for line in lines(response.content.iter_any(), LINE_BYTES):
                    yield _event(line)
        except aiohttp.ClientPayloadError:
            return  # the engine went away in the middle of the stream
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._away(error) from error

    # -- acting -----------------------------------------------------------------------------

    async def pause(self, container: str) -> Outcome:
        """Freeze every process of a container."""
        return await self._act(f"/containers/{_named(container)}/pause")

    async def unpause(self, container: str) -> Outcome:
        """Let a paused container go on."""
        return await self._act(f"/containers/{_named(container)}/unpause")

    async def start(self, container: str) -> Outcome:
        """Start a container that exists."""
        return await self._act(f"/containers/{_named(container)}/start")

    async def stop(self, container: str, *, grace: int = 0) -> Outcome:
        """Stop a container, killing it after ``grace`` seconds.

        The engine answers when it has stopped; ``grace`` must be less than what an answer may take.
        """
        return await self._act(f"/containers/{_named(container)}/stop", {"t": str(grace)})

    async def kill(self, container: str, signal: str = "KILL") -> Outcome:
        """Send a signal to a container's first process."""
        return await self._act(f"/containers/{_named(container)}/kill", {"signal": signal})

    async def disconnect(self, network: str, container: str, *, force: bool = False) -> Outcome:
        """Take a container off a network; with ``force`` also one that has stopped."""
        body = {"Container": container, "Force": force}
        return await self._act(f"/networks/{_named(network)}/disconnect", body=body)

    async def connect(
        self, network: str, container: str, *, ipv4: str = "", ipv6: str = ""
    ) -> Outcome:
        """Put a container onto a network, at those addresses where some are named."""
        fixed = {"IPv4Address": ipv4, "IPv6Address": ipv6}
        asked = {name: value for name, value in fixed.items() if value}
        body: dict[str, object] = {"Container": container}
        if asked:
            body["EndpointConfig"] = {"IPAMConfig": asked}
        return await self._act(f"/networks/{_named(network)}/connect", body=body)

    # -- running containers of one's own ----------------------------------------------------

    async def create(self, name: str, settings: Mapping[str, object]) -> str:
        """Create a container and return its id; ``settings`` are POST /containers/create's."""
        query = {"name": _named(name)}
        answer = await self._ask("POST", "/containers/create", query, body=settings)
        return self._read(answer, Made).id

    async def execute(self, container: str, argv: Sequence[str]) -> Executed:
        """Run a program in a container to its end, within the time of an answer.

        Its output, both streams together, is at most ``ANSWER_BYTES``.
        """
        # With a terminal the answer is what the program says; without one it is framed by stream.
        wanted = {"Cmd": list(argv), "AttachStdout": True, "AttachStderr": True, "Tty": True}
        where = f"/containers/{_named(container)}/exec"
        made = self._read(await self._ask("POST", where, body=wanted), Made)
        begin = {"Detach": False, "Tty": True}
        said = await self._ask("POST", f"/exec/{_named(made.id)}/start", body=begin)
        ended = self._read(await self._ask("GET", f"/exec/{_named(made.id)}/json"), ExecState)
        return Executed(-1 if ended.exit_code is None else ended.exit_code, said.content)

    async def remove(self, container: str) -> Outcome:
        """Kill a container and remove it, with the volumes that nobody named."""
        where = f"/containers/{_named(container)}"
        query = {"force": "1", "v": "1"}
        answer = await self._ask("DELETE", where, query, also=tuple(_FATES))
        return _FATES.get(answer.status, Outcome.DONE)

    async def close(self) -> None:
        """Close the connections; the engine may be used again afterwards."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # -- parts ------------------------------------------------------------------------------

    async def _act(
        self, path: str, query: Mapping[str, str] | None = None, *, body: object = None
    ) -> Outcome:
        answer = await self._ask("POST", path, query, body=body, also=tuple(_FATES))
        return _FATES.get(answer.status, Outcome.DONE)

    async def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: object = None,
        also: Iterable[int] = (),
    ) -> "_Answer":
        """Return an answer of 2xx or a status in ``also``; raise EngineError on any other."""
        answer = await self._send(method, await self._versioned(path), query, body)
        if 200 <= answer.status < 300 or answer.status in also:
            return answer
        raise _refusal(f"{method} {path}", answer.status, answer.content)

    async def _send(
        self,
        method: str,
        where: str,
        query: Mapping[str, str] | None = None,
        body: object = None,
    ) -> "_Answer":
        try:
            async with self._opened().request(
                method, self._url(where, query), json=body, timeout=self._timeout
            ) as response:
                content = await bounded(response, ANSWER_BYTES)
                return _Answer(response.status, dict(response.headers), content)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._version = ""  # what answers next may be another engine
            raise self._away(error) from error

    async def _versioned(self, path: str) -> str:
        if not self._version:
            offered = _API.fullmatch(await self.ping())
            assert offered is not None
            minor = min(NEWEST[1], int(offered[1]))
            self._version = f"1.{minor}"
        return f"/v{self._version}{path}"

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = (
                aiohttp.UnixConnector(self._socket) if self._socket else aiohttp.TCPConnector()
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                read_bufsize=64 * 1024,
            )
        return self._session

    def _url(self, path: str, query: Mapping[str, str] | None) -> URL:
        return URL(self._base + path, encoded=True).with_query(query or None)

    def _read[T](self, answer: "_Answer", kind: type[T]) -> T:
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise EngineError(f"{self.url} sent what is not its API: {error}") from error

    def _away(self, error: BaseException) -> EngineError:
        what = str(error) or type(error).__name__
        return EngineError(
            f"the container engine {self.url} does not answer ({what}); check that it runs and "
            "that this user may talk to it"
        )


class _Answer(msgspec.Struct, frozen=True):
    """An answer read to its end."""

    status: int
    headers: dict[str, str]
    content: bytes


def _parse(url: str) -> tuple[str, str]:
    """Return the socket's path, or '', and the base of every URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigError(_unfit(url)) from None
    match parts.scheme:
        case "unix" if parts.path.startswith("/") and not parts.netloc:
            return parts.path, "http://docker"
        case "tcp" | "http" if parts.hostname and port:
            host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
            return "", f"http://{host}:{port}"
    raise ConfigError(_unfit(url))


def _unfit(url: str) -> str:
    return f"{url!r} names no container engine; write {DEFAULT_URL} or tcp://127.0.0.1:2375"


def _named(name: str) -> str:
    """Return a container's or network's name or id as it may stand in a path."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name[:60]!r} is not the name or id of a container or network")
    return name


def _filters(filters: Filters | None) -> dict[str, str]:
    return {"filters": json.dumps({k: list(v) for k, v in filters.items()})} if filters else {}


def _event(line: bytes) -> Event:
    try:
        return msgspec.json.decode(line, type=Event)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Event(type=UNREADABLE)


def _refusal(what: str, status: int, content: bytes) -> EngineError:
    try:
        told: Any = msgspec.json.decode(content)
        message = str(told["message"])
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        message = ""
    said = printable(message, _MESSAGE)
    return EngineError(f"the container engine refused {what}: HTTP {status} {said}".rstrip())
