"""Finding the server that takes writes, whatever kind of Redis it is.

The strategy: every key of lineage is in one hash slot, so on a Cluster, too, one server at a time
holds all of it. Sentinel, Cluster and a lone server then differ in one question only: who is it
now? That question is a generator, like an operation, so that the sync and async executors share it.

Sentinel: https://redis.io/docs/latest/develop/reference/sentinel-clients/. Cluster:
https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from davylamp.attribution.endpoint import Endpoint, Kind, Node
from davylamp.errors import LineageUnavailable

TIMEOUT = 2.0
"""Seconds that Redis has to accept a connection, and to answer a command."""
CLUSTER_PREFIX = "{davylamp}:"
"""The keys' prefix on a Cluster: the braces are the hash tag that keeps all in one slot."""

FAILURES = (RedisError, OSError, TimeoutError)
"""All that may go wrong with Redis or on the road to it."""
LOST = (RedisConnectionError, RedisTimeoutError, ClusterDownError, OSError, TimeoutError)
"""What makes us ask again who takes writes, before the next command."""
ELSEWHERE = (MovedError, ReadOnlyError)
"""What a server says that is not, or no longer, the one."""

_KNOWN_NODES = 64
_SLOT = key_slot(CLUSTER_PREFIX.encode())


@dataclass(frozen=True, slots=True)
class Question:
    """A command for one node; the answer is sent into the search, or its failure thrown."""

    node: Node
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """The server that takes writes, and whom to ask when it no longer does."""

    node: Node
    known: tuple[Node, ...]


type Search = Generator[Question, Any, Found]


def search(endpoint: Endpoint, known: Sequence[Node]) -> Search:
    """Find the server that takes writes, asking the nodes learnt before and those of the URL.

    Raises LineageUnavailable when none of them can tell.
    """
    asked = tuple(dict.fromkeys((*known, *endpoint.nodes)))
    match endpoint.kind:
        case Kind.SERVER:
            return Found(endpoint.nodes[0], ())
        case Kind.SENTINEL:
            return (yield from _sentinels_master(endpoint, asked))
        case Kind.CLUSTER:
            return (yield from _slots_master(asked))


def settings(endpoint: Endpoint, node: Node, *, sentinel: bool = False) -> dict[str, Any]:
    """Return the arguments of redis-py's client, sync or async, for one node."""
    login = endpoint.sentinel_login if sentinel else endpoint.login
    where: dict[str, Any] = {"host": node.host, "port": node.port}
    if not node.port:
        where = {"unix_socket_path": node.host}
    if endpoint.tls is not None:
        where |= {
            "ssl": True,
            "ssl_ca_certs": endpoint.tls.ca or None,
            "ssl_certfile": endpoint.tls.cert or None,
            "ssl_keyfile": endpoint.tls.key or None,
        }
    return where | {
        "username": login.user or None,
        "password": login.password or None,
        "db": 0 if sentinel else endpoint.db,
        "protocol": 2,
        "socket_timeout": TIMEOUT,
        "socket_connect_timeout": TIMEOUT,
    }


def target_of(asked: AskError, node: Node) -> Node:
    """Return where a redirection points; without a host it is another port of the same one."""
    return Node(asked.host or node.host, asked.port)


def failure_of(reply: Exception) -> Exception:
    """Return what an error reply means: a script's write to a replica is READONLY, too.

    Redis before 7 wraps what a script ran into, so redis-py does not know it for what it is.
    """
    if isinstance(reply, ResponseError) and "-READONLY" in str(reply):
        return ReadOnlyError(str(reply))
    return reply


def _sentinels_master(endpoint: Endpoint, asked: Sequence[Node]) -> Search:
    failure = ""
    command = ("SENTINEL", "get-master-addr-by-name", endpoint.service)
    for node in asked:
        try:
            answer = yield Question(node, command)
        except FAILURES as error:
            failure = str(error) or type(error).__name__
            continue
        if answer:
            host, port = answer
            # Who answered is asked first next time.
            return Found(Node(_text(host), int(port)), (node,))
        failure = f"there is no service {endpoint.service!r}"
    raise LineageUnavailable(f"no Sentinel names the master of lineage ({failure})")


def _slots_master(asked: Sequence[Node]) -> Search:
    failure = ""
    for node in asked:
        try:
            ranges = yield Question(node, ("CLUSTER", "SLOTS"))
        except FAILURES as error:
            failure = str(error) or type(error).__name__
            continue
        owners = [_node(each[2], node) for each in ranges if each[0] <= _SLOT <= each[1]]
        everybody = dict.fromkeys(_node(one, node) for each in ranges for one in each[2:])
        if owners:
            return Found(owners[0], tuple(everybody)[:_KNOWN_NODES])
        failure = f"nobody holds slot {_SLOT}"
    raise LineageUnavailable(f"no node of the Cluster names the holder of lineage ({failure})")


def _node(told: Sequence[Any], teller: Node) -> Node:
    return Node(_text(told[0] or "") or teller.host, int(told[1]))


def _text(raw: bytes | str) -> str:
    return raw.decode() if isinstance(raw, bytes) else raw
