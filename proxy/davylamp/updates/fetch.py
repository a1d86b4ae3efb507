"""How files of a repository come here: HTTP with bounds on everything, or a folder.

python-tuf decides what is asked for and believes nothing that comes; this is the road. A server
that sends without end, or a byte now and then, costs `FetchLimits` and no more.
"""

import asyncio
import contextlib
import os
import stat
import tempfile
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import aiohttp
from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    SlowRetrievalError,
)
from tuf.ngclient.fetcher import FetcherInterface

from davylamp.errors import PackError

_PIECE = 64 * 1024
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Bounds on one file: seconds to connect, between bytes and in all, and bytes a second.

    ``rate`` counts after ``grace`` seconds. ``size`` holds whatever the metadata says.
    """

    connect: float = 10.0
    idle: float = 10.0
    whole: float = 300.0
    rate: float = 1024.0
    grace: float = 5.0
    size: int = 64 << 20


class BoundedFetcher(FetcherInterface):
    """Base: remembers the last bytes that came, so that a refusal can say what was wrong.

    ``last_name`` is that file's name without folders, ``last`` its bytes if it was metadata.
    """

    def __init__(self, limits: FetchLimits | None = None) -> None:
        self.limits = limits or FetchLimits()
        self.last_name = ""
        self.last = b""

    def download_bytes(self, url: str, max_length: int) -> bytes:
        """Return a file's bytes; raise DownloadError, as `FetcherInterface` says."""
        self.last_name, self.last = url.rpartition("/")[2], b""
        self.last = super().download_bytes(url, max_length)
        return self.last

    @contextlib.contextmanager
    def download_file(self, url: str, max_length: int) -> Iterator[IO[bytes]]:
        """Yield a file that holds what came; raise DownloadError, as `FetcherInterface` says."""
        self.last_name = url.rpartition("/")[2]
        with tempfile.TemporaryFile() as file:
            self._into(file, url, min(max_length, self.limits.size))
            file.seek(0)
            yield file

    def _into(self, file: IO[bytes], url: str, most: int) -> None:
        raise NotImplementedError

    def _fetch(self, url: str) -> Iterator[bytes]:
        """Meet the interface; everything goes by `download_file`, which knows the bound."""
        with self.download_file(url, self.limits.size) as file:
            yield from iter(lambda: file.read(_PIECE), b"")


class HttpFetcher(BoundedFetcher):
    """Over HTTP or HTTPS; a redirection is refused, so that the road is the one that was named."""

    def _into(self, file: IO[bytes], url: str, most: int) -> None:
        try:
            asyncio.run(self._get(file, url, most))
        except TimeoutError as error:
            raise SlowRetrievalError(f"{url}: not complete in the time allowed") from error
        except (aiohttp.ClientError, UnicodeError) as error:  # that one of a name that can be none
            raise DownloadError(f"{url}: {error}") from error

    async def _get(self, file: IO[bytes], url: str, most: int) -> None:
        limits = self.limits
        timeout = aiohttp.ClientTimeout(
            total=limits.whole, sock_connect=limits.connect, sock_read=limits.idle
        )
        loop = asyncio.get_running_loop()
        async with (
            asyncio.timeout(limits.whole),  # the headers too, however slowly they come
            aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session,
            session.get(
                url, allow_redirects=False, headers={"Accept-Encoding": "identity"}
            ) as answer,
        ):
            if answer.status != 200:
                raise DownloadHTTPError(f"{url}: HTTP status {answer.status}", answer.status)
            began, came = loop.time(), 0
            async for piece in answer.content.iter_any():
                came += len(piece)
                if came > most:
                    raise DownloadLengthMismatchError(f"{url}: more than {most:,} bytes")
                file.write(piece)
                took = loop.time() - began
                if took > limits.grace and came < limits.rate * took:
                    raise SlowRetrievalError(
                        f"{url}: {came} bytes in {took:.0f} s, fewer than {limits.rate:g} a second"
                    )


class FolderFetcher(BoundedFetcher):
    """From a folder with the same files, for hosts that reach no network."""

    def _into(self, file: IO[bytes], url: str, most: int) -> None:
        path = Path(urllib.parse.unquote(urllib.parse.urlsplit(url).path))
        try:
            # Without waiting for whoever writes to a pipe, and never more than may come.
            with open(path, "rb", opener=_at_once) as source:
                if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
                    raise DownloadError(f"{path}: is not a plain file")
                data = source.read(most + 1)
            if len(data) > most:
                raise DownloadLengthMismatchError(f"{path}: more than {most:,} bytes")
            file.write(data)
        except FileNotFoundError as error:
            raise DownloadHTTPError(f"{path}: no such file", _NOT_FOUND) from error
        except OSError as error:
            raise DownloadError(f"{path}: {error.strerror}") from error


def fetcher_of(place: str, limits: FetchLimits | None = None) -> tuple[BoundedFetcher, str]:
    """Return how to fetch from a place, and its URL; a place is a URL or a folder.

    Raises PackError for what is neither.
    """
    try:
        scheme = urllib.parse.urlsplit(place).scheme
    except ValueError as error:
        raise PackError(
            f"{place}: is no URL: {error}; give https://HOST/PATH or a folder"
        ) from error
    if scheme in ("http", "https"):
        return HttpFetcher(limits), place.rstrip("/")
    folder = Path(place.removeprefix("file://")).absolute()
    return FolderFetcher(limits), folder.as_uri()


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
