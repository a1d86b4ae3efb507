"""One POST to a receiver, and what its answer means for the events in it.

TLS is verified, redirects are not followed (a signed event goes where it was configured to go), and
no proxy is taken from the environment. Of an answer's body no more is read than was asked for.
"""

import asyncio
import ssl
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

import aiohttp

from davylamp.errors import ConfigError
from davylamp.outputs.spooled import Fate, Outcome

# What a receiver says of this body, rather than of itself, of us or of the moment.
_BODY_REFUSED = frozenset({400, 413, 422})


class HttpPost:
    """Posts to ``url``, each attempt within ``seconds``; one connection, kept between posts.

    ``answer_bytes`` of an answer's body are read at most.
    """

    def __init__(
        self, url: str, tls: ssl.SSLContext, seconds: float, *, answer_bytes: int = 0
    ) -> None:
        self._url = url
        self._answer_bytes = answer_bytes
        self._tls = tls
        self._timeout = aiohttp.ClientTimeout(total=seconds)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, body: bytes, headers: Mapping[str, str]) -> Outcome:
        """Post the body, and return what became of it."""
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self._tls, limit=1)
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        try:
            async with self._session.post(
                self._url, data=body, headers=headers, allow_redirects=False
            ) as response:
                answer = await self._answer(response) if self._answer_bytes else b""
                retry_after = response.headers.get("Retry-After", "")
                return _outcome(response.status, retry_after, answer)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return Outcome(Fate.AWAY, repr(error))

    async def _answer(self, response: aiohttp.ClientResponse) -> bytes:
        try:
            return await response.content.readexactly(self._answer_bytes)
        except asyncio.IncompleteReadError as error:
            return error.partial

    async def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def checked_url(url: str, key: str) -> str:
    """Return an https URL, or an http one of this host; raise ConfigError naming ``key``."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        host = ""
    else:
        if host and (parts.scheme == "https" or (parts.scheme == "http" and _loopback(host))):
            return url
    raise ConfigError(
        f"{key} is {url!r}: events name people's work, so write an https:// URL, or http:// to "
        "this host's own loopback address"
    )


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _outcome(status: int, retry_after: str, answer: bytes) -> Outcome:
    """Return what a status means: 2xx taken, the body refused, or not now (RFC 9110, section 15).

    A wrong address or credential, 401 or 404, is a configuration that someone will mend.
    """
    if 200 <= status < 300:
        return Outcome(Fate.TAKEN, answer=answer)
    seconds = float(retry_after) if retry_after.isdecimal() and len(retry_after) < 6 else 0.0
    fate = Fate.REFUSED if status in _BODY_REFUSED else Fate.AWAY
    return Outcome(fate, f"HTTP {status}", seconds)
