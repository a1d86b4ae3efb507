"""Where the lineage store is: one URL for a server, a Sentinel's service, a Cluster, TLS or not.

    redis://[USER:PASSWORD@]HOST[:6379][/DB]              one server
    unix:///PATH[?db=N]                                   one server, on a Unix socket
    redis+sentinel://[USER:PASSWORD@]H1[:26379],H2/SERVICE[/DB]
    redis+cluster://[USER:PASSWORD@]H1[:6379],H2

``rediss`` in place of ``redis`` is TLS to every server, Sentinels included. Options follow a ``?``:
``replicas``, ``ca``, ``cert``, ``key``, ``sentinel_user``, ``sentinel_password``, ``db`` (unix).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from davylamp.errors import ConfigError

_FORMS = (
    "write redis://host:6379/0, unix:///path/to/redis.sock, redis+sentinel://host,host/service or "
    "redis+cluster://host,host (rediss for TLS)"
)
_OPTIONS = frozenset(
    {
        "replicas",
        "ca",
        "cert",
        "key",
        "sentinel_user",
        "sentinel_password",
        "db",
        "user",
        "password",
    }
)


class Kind(StrEnum):
    """How the server that takes writes is found."""

    SERVER = "server"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class Node:
    """One server's address: a host and port, or a Unix socket's path with port 0."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Tls:
    """Files in PEM: whom to trust (none: the system's authorities), and what to show."""

    ca: str = ""
    cert: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Login:
    """A user of Redis' ACL; without a name it is the default user, without a password nobody."""

    user: str = ""
    password: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A store's URL, understood.

    ``nodes`` are the server, the Sentinels, or some of the Cluster's nodes. ``replicas`` is how
    many must have an event before it counts as recorded.
    """

    kind: Kind
    nodes: tuple[Node, ...]
    login: Login = Login()
    sentinel_login: Login = Login()
    service: str = ""
    db: int = 0
    tls: Tls | None = None
    replicas: int = 0

    @property
    def moves(self) -> bool:
        """Whether the server that takes writes may become another."""
        return self.kind is not Kind.SERVER


def parse_url(url: str) -> Endpoint:
    """Read a store's URL; raise ConfigError saying what is wrong with it."""
    try:
        parts = urlsplit(url)
        options = _options_of(parts.query)
        return _endpoint(parts.scheme, parts.netloc, parts.path, options)
    except ValueError as error:
        raise ConfigError(f"lineage URL {shown_url(url)!r}: {error}; {_FORMS}") from None


def shown_url(url: str) -> str:
    """Return the URL without its password and query, fit for messages."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(not a URL)"
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def _endpoint(scheme: str, netloc: str, path: str, options: Mapping[str, str]) -> Endpoint:
    base, _, form = scheme.partition("+")
    login = _login_of(netloc, options)
    if scheme == "unix":
        node = Node(unquote(path), 0)
        if not node.host:
            raise ValueError("names no socket")
        replicas, db = _count(options, "replicas", 0), _count(options, "db", 0)
        return Endpoint(Kind.SERVER, (node,), login, db=db, replicas=replicas)
    if base not in {"redis", "rediss"} or form not in {"", "sentinel", "cluster"}:
        raise ValueError("is not understood")
    kind = Kind(form or "server")
    nodes = _nodes_of(netloc, 26379 if kind is Kind.SENTINEL else 6379)
    service, db = _service_of(kind, path)
    if kind is Kind.SERVER and len(nodes) > 1:
        raise ValueError("names several servers; say +sentinel or +cluster")
    return Endpoint(
        kind=kind,
        nodes=nodes,
        login=login,
        sentinel_login=Login(
            options.get("sentinel_user", ""), options.get("sentinel_password", "")
        ),
        service=service,
        db=db,
        tls=_tls_of(options) if base == "rediss" else None,
        # Where another may take over, what only the old one knew would be lost.
        replicas=_count(options, "replicas", int(kind is not Kind.SERVER)),
    )


def _options_of(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    if unknown := sorted(options.keys() - _OPTIONS):
        raise ValueError(f"has no option {unknown[0]!r}; there are {', '.join(sorted(_OPTIONS))}")
    return options


def _login_of(netloc: str, options: Mapping[str, str]) -> Login:
    user, _, password = netloc.rpartition("@")[0].partition(":")
    return Login(
        unquote(user) or options.get("user", ""), unquote(password) or options.get("password", "")
    )


def _nodes_of(netloc: str, port: int) -> tuple[Node, ...]:
    hosts = netloc.rpartition("@")[2].split(",")
    nodes = []
    for host in hosts:
        parts = urlsplit(f"//{host}")
        if not parts.hostname:
            raise ValueError("names no host")
        nodes.append(Node(parts.hostname, parts.port or port))
    return tuple(nodes)


def _service_of(kind: Kind, path: str) -> tuple[str, int]:
    """Return the Sentinels' service and the database that a path names."""
    words = [unquote(word) for word in path.split("/") if word]
    service = ""
    if kind is Kind.SENTINEL:
        if not words:
            raise ValueError("names no service after the Sentinels")
        service = words.pop(0)
    db = _number("the database", words.pop(0)) if words else 0
    if words or (db and kind is Kind.CLUSTER):
        raise ValueError("has too much in its path")
    return service, db


def _tls_of(options: Mapping[str, str]) -> Tls:
    return Tls(*(options.get(name, "") for name in ("ca", "cert", "key")))


def _count(options: Mapping[str, str], name: str, default: int) -> int:
    return _number(name, options[name]) if name in options else default


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 4):
        raise ValueError(f"{name} must be a small number, not {text!r}")
    return int(text)
