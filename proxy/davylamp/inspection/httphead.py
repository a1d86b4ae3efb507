"""What an HTTP head alone tells: programs, fields and paths that only miners use, and DNS in HTTP.

Sources: XMRig src/net/http (agent, ``X-Hash-Difficulty``) and DaemonClient; Bitcoin wiki "Getwork"
(``X-Mining-Extensions``, ``X-Stratum``); Sia doc/api (``/miner/header``); DERO's and Xelis's
getwork servers (a WebSocket at ``/ws/ADDRESS`` and ``/getwork/ADDRESS/WORKER``); Chia pool protocol
1.0 (``/farmer?launcher_id=``); RFC 8484 section 6, and the JSON interfaces of public resolvers.

Nearly every head tells nothing, and every connection has one: so what an expression looks for is
looked for as plain bytes first, which costs a tenth. (By ``find``, for bytes ``in`` bytes costs
twice as much: CPython asks first whether the needle is a number, and throws the error away.)
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from davylamp.inspection.wire.http_head import RequestHead, ResponseHead
from davylamp.signatures.vocabulary import is_miner_agent

NO_FIELD = re.compile(rb"\n[ \t]*(?=[{\[])")
"""A line among header fields that is none (RFC 9110 section 5.1), but may be a message."""

_TARGET = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*)?([^?#]*)")
_FIELD = re.compile(rb"\nx-(?:mining-extensions|hash-difficulty|stratum)[ \t]*:")
_AGENT = re.compile(rb"\nuser-agent[ \t]*:[ \t]*([^\r\n]{1,64})")
_DNS = re.compile(rb"\n(?:accept|content-type)[ \t]*:[^\r\n]*?\bapplication/dns-(?:message|json)\b")
_PATH = re.compile(
    rb"[A-Z]{3,7} (?:[a-z]+://[^/ ]+)?(?:"
    rb"(?P<sia>/miner/header)(?=[ ?])|"
    rb"(?P<socket>/(?:ws/(?:dero|deto)|getwork/(?:xel|xet):?)[a-z0-9]{40,120})(?=[/ ?])|"
    rb"(?P<farmer>/farmer\?(?:[^ ]*&)?launcher_id=(?:0x)?[0-9a-f]{64})(?=[& ]))"
)
_PATHS = ("/miner/header", "/ws/", "/getwork/", "/farmer")
_LENGTHS = frozenset({6, 9, 10, 12, 17, 19})  # of the names that are asked about
_EVENTS = {"sia": "http.sia-header", "socket": "http.getwork-socket", "farmer": "http.chia-farmer"}


def told_by(head: RequestHead | ResponseHead, lower: bytes) -> Iterator[str]:
    """Yield the events that a head is, each once.

    ``lower`` is the head as sent, in lower case and without folded lines.
    """
    if lower.find(b"\nx-") >= 0 and _FIELD.search(lower):
        yield "http.mining-field"
    if isinstance(head, ResponseHead):
        return
    at = lower.find(b"\nuser-agent")
    agent = _AGENT.search(lower, at) if at >= 0 else None
    if agent and _is_miner(agent[1]):
        yield "http.miner-agent"
    if lower.find(b"application/dns-") >= 0 and _DNS.search(lower):
        yield "http.dns-message"
    target = head.target
    if target.startswith(_PATHS) or target[:1] != "/":
        path = _PATH.match(head.raw)
        if path and path.lastgroup:
            yield _EVENTS[path.lastgroup]


@lru_cache(maxsize=1024)  # a sandbox's programs have few
def _is_miner(agent: bytes) -> bool:
    return is_miner_agent(agent.decode("latin-1"))


def path_of(target: str) -> str:
    """Return the path in a request's target, without its query."""
    if target.startswith("/"):
        return target.partition("?")[0]
    path = _TARGET.match(target)
    return path[1] if path else ""


def may_tell(fields: Iterable[tuple[bytes, bytes]], path: str) -> bool:
    """Tell whether a head that was parsed already could be one that `told_by` has a word for.

    Cheaper, and never wrong about one that is; ``path`` is a request's, or empty.
    """
    if path.startswith(_PATHS):
        return True
    for name, value in fields:
        if len(name) in _LENGTHS:
            match name.lower():
                case b"user-agent":
                    if is_miner_agent(value.decode("latin-1")):
                        return True
                case b"accept" | b"content-type":
                    if b"application/dns-" in value.lower():
                        return True
                case b"x-mining-extensions" | b"x-hash-difficulty" | b"x-stratum":
                    return True
    return False
