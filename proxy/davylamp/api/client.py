"""Asking a gateway's API, as commands on the same host and elsewhere do."""

import contextlib
import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from davylamp.errors import ConfigError, reason

_TIMEOUT = 5.0
_MAX_ANSWER = 32 << 20


@dataclass(frozen=True, slots=True)
class ApiClient:
    """Where the API is, and with what one asks it; ``trust`` is for one that speaks TLS."""

    url: str
    token: str
    trust: ssl.SSLContext

    def read[T](self, path: str, kind: type[T]) -> T:
        """Ask for a record; raise ConfigError where it cannot be had, or is something else."""
        try:
            return msgspec.json.decode(self.get(path), type=kind)
        except msgspec.DecodeError as error:
            raise ConfigError(f"{self.url}{path} is no davylamp gateway's: {error}") from error

    def get(self, path: str) -> bytes:
        """Ask once, without a proxy and without following redirects: a token goes to one place."""
        try:
            connection = self._connection()
            with contextlib.closing(connection):
                headers = {"Authorization": f"Bearer {self.token}"}
                connection.request("GET", path, headers=headers)
                answer = connection.getresponse()
                body = answer.read(_MAX_ANSWER)
        except (OSError, http.client.HTTPException) as error:
            raise ConfigError(
                f"{self.url} does not answer: {error}; is api.listen set, and the gateway up?"
            ) from error
        if answer.status != http.HTTPStatus.OK:
            why = "give a token that may read" if answer.status == 401 else answer.reason
            raise ConfigError(f"{self.url}{path} answers {answer.status}: {why}")
        return body

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, parts.port, timeout=_TIMEOUT)
        return http.client.HTTPSConnection(host, parts.port, timeout=_TIMEOUT, context=self.trust)


def client_of(
    url: str,
    token_file: Path | None,
    trust: ssl.SSLContext,
    environment: Mapping[str, str],
    state: Path,
) -> ApiClient:
    """Find the credential: a file that is named, ``$DAVYLAMP_API_TOKEN``, else the gateway's own.

    ``state`` is the gateway's state folder on this host. Raises ConfigError.
    """
    if not _is_http(url):
        raise ConfigError(f"--url {url}: write http://127.0.0.1:9465 or https://HOST:PORT")
    token = environment.get("DAVYLAMP_API_TOKEN", "")
    if token_file is not None or not token:
        file = token_file or state / "api" / "read.token"
        try:
            token = file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{file}: {reason(error)}; name a token with --token-file, "
                "or the gateway's configuration with --config"
            ) from error
    if not token.isprintable() or not token:
        raise ConfigError("the token is empty, or no text of one line")
    return ApiClient(url.rstrip("/"), token, trust)


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
