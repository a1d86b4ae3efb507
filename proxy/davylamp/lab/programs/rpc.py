"""An ordinary JSON-RPC 2.0 service whose method names miners use too.

``login``, ``submit``, ``job``, ``subscribe`` and ``echo`` with members that have nothing to do with
mining: near misses on purpose, to show that shape and not words is what counts.
Source: the JSON-RPC 2.0 specification (jsonrpc.org), section 5.1 for the error codes.
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from davylamp.lab.programs.report import Json

type Call = tuple[str, Json, Json]

# What an ordinary client asks and what it is to get: method, params, result.
EXAMPLES: Sequence[Call] = (
    ("echo", ["mining.subscribe is only a word here"], ["mining.subscribe is only a word here"]),
    ("login", {"user": "trainer", "password": "secret"}, {"token": "token-of-trainer"}),
    ("subscribe", {"topic": "rollouts"}, {"subscription": "rollouts"}),
    ("submit", {"form": "evaluation", "worker": "w7", "answer": 42}, {"queued": "evaluation"}),
    ("job", {"name": "evaluate", "id": "17"}, {"name": "evaluate", "state": "running"}),
)


def answer(raw: bytes) -> bytes:
    """Return the response to one request text; a batch is refused."""
    try:
        request = json.loads(raw)
    except (ValueError, RecursionError):
        return _encode({"id": None, "error": {"code": -32700, "message": "Parse error"}})
    match request:
        case {"method": str(method)}:
            number, params = request.get("id"), request.get("params")
        case _:
            return _encode({"id": None, "error": {"code": -32600, "message": "Invalid Request"}})
    result = _call(method, params)
    if result is None:
        return _encode({"id": number, "error": {"code": -32601, "message": "Method not found"}})
    return _encode({"id": number, "result": result})


def _call(method: str, params: Any) -> Json:
    match method, params:
        case "echo", [str(text)]:
            return [text]
        case "login", {"user": str(user)}:
            return {"token": f"token-of-{user}"}
        case "subscribe", {"topic": str(topic)}:
            return {"subscription": topic}
        case "submit", {"form": str(form)}:
            return {"queued": form}
        case "job", {"name": str(name)}:
            return {"name": name, "state": "running"}
        case _:
            return None


def request(number: int, method: str, params: Json) -> bytes:
    """Return one request text, without a newline."""
    return _encode({"id": number, "method": method, "params": params})


def calls(count: int) -> Sequence[Call]:
    """Return ``count`` calls, the examples over and over."""
    return list(itertools.islice(itertools.cycle(EXAMPLES), count))


def _encode(message: Mapping[str, Json]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **message}, separators=(",", ":")).encode()
