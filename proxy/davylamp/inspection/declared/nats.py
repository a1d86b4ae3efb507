"""NATS: a payload stands on a line of its own behind the operation that ends with its length.

    PUB <subject> [reply-to] <size>             MSG <subject> <sid> [reply-to] <size>
    HPUB <subject> [reply-to] <head> <size>     HMSG <subject> <sid> [reply-to] <head> <size>

A server speaks first, with ``INFO {...}``; a client's first words are ``CONNECT {...}``. Each is
what proves its side. Operations may be in any case, with spaces or tabs between; clients and
servers write them in capitals, and only those are read.

Source: NATS protocol (docs.nats.io/reference/reference-protocols/nats-protocol).
"""

from davylamp.inspection.declared.elements import (
    LINE_END,
    Head,
    Protocol,
    Unread,
    number,
    read_line,
)
from davylamp.inspection.finding import AppProto

MAX_PAYLOAD = 64 << 20
"""The server's own bound of its setting ``max_payload``."""

_CLIENT = (b"CONNECT ", b"PUB ", b"HPUB ", b"SUB ", b"UNSUB ", b"PING", b"PONG", b"+OK", b"-ERR")
_SERVER = (b"INFO ", b"MSG ", b"HMSG ", b"PING", b"PONG", b"+OK", b"-ERR")
_PROOFS = (b"CONNECT {", b"INFO {")
# With a payload: how many words there may be, the operation and the sizes included.
_WORDS = {b"PUB": (3, 4), b"HPUB": (4, 5), b"MSG": (4, 5), b"HMSG": (5, 6)}


def client_head(data: bytes, at: int, known: int) -> Head | Unread:
    """Read one operation of a client."""
    return _head(data, at, known, _CLIENT)


def server_head(data: bytes, at: int, known: int) -> Head | Unread:
    """Read one operation of a server."""
    return _head(data, at, known, _SERVER)


def _head(data: bytes, at: int, known: int, verbs: tuple[bytes, ...]) -> Head | Unread:
    line = read_line(data, at, known, verbs)
    if isinstance(line, Unread):
        return line
    end = at + len(line) + 2
    words = line.split(None, 6)
    counts = _WORDS.get(words[0])
    if counts is None:
        known_verb = any(words[0] == verb.rstrip() for verb in verbs)
        proof = line.startswith(_PROOFS) and line.rstrip().endswith(b"}")
        return Head(end, proof=proof) if known_verb else Unread.BROKEN
    size = number(words[-1])
    if len(words) not in counts or not 0 <= size <= MAX_PAYLOAD:
        return Unread.BROKEN
    return Head(end, size, LINE_END)


NATS = Protocol(AppProto.NATS, client_head, server_head)
