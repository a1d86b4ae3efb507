r"""Redis: RESP, in which a value stands on a line of its own behind ``$`` and its length.

A client sends arrays of such values (``*2\r\n$3\r\nGET\r\n$1\r\nk\r\n``); a server answers with
them or with lines. Arrays need no stack here: each of their members is an element of its own.
Commands typed as bare lines are not read: a client that sends one is read as lines from there on.

Source: Redis serialization protocol specification (redis.io/docs/latest/develop/reference/
protocol-spec), RESP2 and RESP3; Redis' ``proto-max-bulk-len`` is 512 MB.
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

MAX_BULK = 512 << 20
_MAX_COUNT = 1 << 20
_MAX_LENGTH_LINE = 16

_COUNTED = (b"*", b"%", b"~", b">", b"|")  # arrays and maps, sets, pushes, attributes
_SIZED = (b"$", b"=", b"!")  # bulk strings, verbatim strings, bulk errors
_LINES = (b"+", b"-", b":", b"_", b"#", b",", b"(")
_SERVER = (*_LINES, *_COUNTED, *_SIZED)
_CLIENT = (b"*", b"$")


def client_head(data: bytes, at: int, known: int) -> Head | Unread:
    """Read a part of a command: how many values it has, or how long the next one is."""
    line = read_line(data, at, known, _CLIENT)
    if isinstance(line, Unread):
        return _short(data, at, line)
    return _declared(line, at, proof_by_value=True)


def server_head(data: bytes, at: int, known: int) -> Head | Unread:
    """Read a line of a reply, or how many values or bytes follow."""
    line = read_line(data, at, known, _SERVER)
    if isinstance(line, Unread):
        return line if data.startswith(_LINES, at) else _short(data, at, line)
    if line.startswith(_LINES):
        return Head(at + len(line) + 2, proof=True)
    return _declared(line, at, proof_by_value=False)


def _declared(line: bytes, at: int, *, proof_by_value: bool) -> Head | Unread:
    end = at + len(line) + 2
    if line in (b"*-1", b"$-1"):  # null, in RESP2
        return Unread.BROKEN if proof_by_value else Head(end, proof=True)
    size = number(line[1:])
    if line.startswith(_COUNTED):
        return Head(end, proof=not proof_by_value) if 0 <= size <= _MAX_COUNT else Unread.BROKEN
    if not 0 <= size <= MAX_BULK:
        return Unread.BROKEN
    return Head(end, size, LINE_END, proof=True)


def _short(data: bytes, at: int, line: Unread) -> Unread:
    """Refuse as soon as it is seen what has no digits behind its type."""
    if line is Unread.BROKEN or len(data) - at >= _MAX_LENGTH_LINE:
        return Unread.BROKEN
    begun = data[at + 1 :].removesuffix(b"\r").removeprefix(b"-")
    return Unread.MORE if not begun or begun.isdigit() else Unread.BROKEN


RESP = Protocol(AppProto.REDIS, client_head, server_head)
