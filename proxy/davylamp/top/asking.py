"""One look at a gateway through its API."""

import contextlib
import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from davylamp.api.model import FlowPage, Health, Stats
from davylamp.errors import ConfigError
from davylamp.events import Struct

_TIMEOUT = 5.0
_MAX_ANSWER = 32 << 20
_QUEUE = {
    "davylamp_queue_waiting_packets": "waiting",
    "davylamp_queue_limit_packets": "limit",
    "davylamp_queue_dropped_packets_total": "dropped",
}


class QueueView(Struct, frozen=True, kw_only=True):
    """A kernel queue: packets that wait, that may, and for which there was no room."""

    waiting: int = 0
    limit: int = 0
    dropped: int = 0


class Look(Struct, frozen=True, kw_only=True):
    """What a gateway said of itself at one moment."""

    health: Health
    stats: Stats
    flows: FlowPage
    queues: dict[str, QueueView]


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where the API is, and with what one asks it. ``ca`` is a PEM file; empty: the system's."""

    url: str
    token: str
    ca: str = ""

    def look(self, flows: int) -> Look:
        """Ask for everything that is shown; raise ConfigError where it cannot be had."""
        return Look(
            health=self._read("/api/v1/health", Health),
            stats=self._read("/api/v1/stats", Stats),
            flows=self._read(f"/api/v1/flows?limit={max(1, min(flows, 1000))}", FlowPage),
            queues=queues_of(self._get("/metrics").decode("utf-8", "replace")),
        )

    def _read[T](self, path: str, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(self._get(path), type=kind)
        except msgspec.DecodeError as error:
            raise ConfigError(f"{self.url}{path} is no davylamp gateway's: {error}") from error

    def _get(self, path: str) -> bytes:
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
        tls = ssl.create_default_context(cafile=self.ca or None)
        return http.client.HTTPSConnection(host, parts.port, timeout=_TIMEOUT, context=tls)


def queues_of(text: str) -> dict[str, QueueView]:
    """Return the queues by number out of an exposition; what is none of them is passed over."""
    found: dict[str, dict[str, int]] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if (what := _QUEUE.get(sample.name)) is not None:
                    queue = found.setdefault(sample.labels.get("queue", ""), {})
                    queue[what] = queue.get(what, 0) + int(sample.value)
    except ValueError as error:
        raise ConfigError(f"the gateway's /metrics cannot be read: {error}") from error
    return {number: msgspec.convert(queue, QueueView) for number, queue in found.items()}


def gateway_of(
    url: str, token_file: Path | None, ca: str, environment: Mapping[str, str], state: Path
) -> Gateway:
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
            raise ConfigError(f"{file}: {error}; name a token with --token-file") from error
    if not token.isprintable() or not token:
        raise ConfigError("the token is empty, or no text of one line")
    return Gateway(url.rstrip("/"), token, ca)


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
