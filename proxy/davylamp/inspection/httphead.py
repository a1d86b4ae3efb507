"""What an HTTP head alone tells of mining: programs, fields and paths that only miners use.

Sources: XMRig src/net/http (agent, ``X-Hash-Difficulty``) and DaemonClient; Bitcoin wiki "Getwork"
(``X-Mining-Extensions``, ``X-Stratum``); Sia doc/api (``/miner/header``); DERO's and Xelis's
getwork servers (a WebSocket at ``/ws/ADDRESS`` and ``/getwork/ADDRESS/WORKER``); Chia pool protocol
1.0 (``/farmer?launcher_id=``).
"""

import re
from collections.abc import Iterator

from davylamp.inspection.wire.http_head import RequestHead, ResponseHead
from davylamp.signatures.vocabulary import is_miner_agent

_FIELD = re.compile(rb"\nx-(?:mining-extensions|hash-difficulty|stratum)[ \t]*:", re.IGNORECASE)
_AGENT = re.compile(rb"\nuser-agent[ \t]*:[ \t]*([^\r\n]{1,64})", re.IGNORECASE)
_PATH = re.compile(
    rb"[A-Z]{3,7} (?:[a-z]+://[^/ ]+)?(?:"
    rb"(?P<sia>/miner/header)(?=[ ?])|"
    rb"(?P<socket>/(?:ws/(?:dero|deto)|getwork/(?:xel|xet):?)[a-z0-9]{40,120})(?=[/ ?])|"
    rb"(?P<farmer>/farmer\?(?:[^ ]*&)?launcher_id=(?:0x)?[0-9a-f]{64})(?=[& ]))"
)
_EVENTS = {"sia": "http.sia-header", "socket": "http.getwork-socket", "farmer": "http.chia-farmer"}


def told_by(head: RequestHead | ResponseHead) -> Iterator[str]:
    """Yield the events that a head is, each once."""
    raw = head.raw
    if _FIELD.search(raw):
        yield "http.mining-field"
    if isinstance(head, ResponseHead):
        return
    agent = _AGENT.search(raw)
    if agent and is_miner_agent(agent[1].decode("latin-1")):
        yield "http.miner-agent"
    path = _PATH.match(raw)
    if path and path.lastgroup:
        yield _EVENTS[path.lastgroup]
