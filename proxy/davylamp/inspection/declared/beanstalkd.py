"""beanstalkd: a job's body stands on a line of its own behind the command that has its length.

    put <pri> <delay> <ttr> <bytes>     RESERVED <id> <bytes>, FOUND <id> <bytes>, OK <bytes>

A whole command or reply with the right number of numbers proves its side; that a server did not
understand proves nothing.

Source: beanstalkd, doc/protocol.txt (version 1.12).
"""

import re

from davylamp.inspection.declared.elements import (
    LINE_END,
    Head,
    Protocol,
    Unread,
    number,
    read_line,
)
from davylamp.inspection.finding import AppProto

MAX_BODY = 1 << 30
"""The largest value of the server's option ``-z``."""

_TUBE = rb"[A-Za-z0-9+/;.$_()][A-Za-z0-9+/;.$_()-]{0,199}"
_NUMBER = rb"[0-9]{1,20}"
_PARTS = {b"n": _NUMBER, b"t": _TUBE}
_COMMANDS = re.compile(
    rb"put (?:%(n)b ){3}(?P<size>[0-9]+)"
    rb"|(?:use|watch|ignore|stats-tube) %(t)b|pause-tube %(t)b %(n)b"
    rb"|(?:reserve-with-timeout|reserve-job|delete|touch|peek|kick|kick-job|stats-job) %(n)b"
    rb"|release %(n)b %(n)b %(n)b|bury %(n)b %(n)b|peek-(?:ready|delayed|buried)"
    rb"|reserve|stats|list-tubes|list-tube-used|list-tubes-watched|quit" % _PARTS
)
_REPLIES = re.compile(
    rb"(?:(?:RESERVED|FOUND) %(n)b|OK) (?P<size>[0-9]+)"
    rb"|(?:INSERTED|WATCHING|KICKED|BURIED) %(n)b|USING %(t)b"
    rb"|BURIED|DELETED|DRAINING|KICKED|PAUSED|RELEASED|TOUCHED|DEADLINE_SOON|EXPECTED_CRLF"
    rb"|JOB_TOO_BIG|NOT_FOUND|NOT_IGNORED|TIMED_OUT"
    rb"|(?P<error>BAD_FORMAT|INTERNAL_ERROR|OUT_OF_MEMORY|UNKNOWN_COMMAND)" % _PARTS
)
_VERBS = (
    *(b"put ", b"use ", b"watch ", b"ignore ", b"stats", b"pause-tube ", b"reserve", b"delete "),
    *(b"touch ", b"peek", b"kick", b"release ", b"bury ", b"list-tube", b"quit"),
)
_ANSWERS = (
    *(b"RESERVED ", b"FOUND ", b"OK ", b"INSERTED ", b"WATCHING ", b"KICKED", b"BURIED"),
    *(b"USING ", b"DELETED", b"DRAINING", b"PAUSED", b"RELEASED", b"TOUCHED", b"DEADLINE_SOON"),
    *(b"EXPECTED_CRLF", b"JOB_TOO_BIG", b"NOT_FOUND", b"NOT_IGNORED", b"TIMED_OUT"),
    *(b"BAD_FORMAT", b"INTERNAL_ERROR", b"OUT_OF_MEMORY", b"UNKNOWN_COMMAND"),
)


def client_head(data: bytes, at: int, known: int) -> Head | Unread:
    """Read one command."""
    line = read_line(data, at, known, _VERBS)
    return line if isinstance(line, Unread) else _head(line, at, _COMMANDS)


def server_head(data: bytes, at: int, known: int) -> Head | Unread:
    """Read one reply."""
    line = read_line(data, at, known, _ANSWERS)
    return line if isinstance(line, Unread) else _head(line, at, _REPLIES)


def _head(line: bytes, at: int, lines: re.Pattern[bytes]) -> Head | Unread:
    found = lines.fullmatch(line)
    if found is None:
        return Unread.BROKEN
    parts, end = found.groupdict(), at + len(line) + 2
    if parts["size"] is None:
        return Head(end, proof=parts.get("error") is None)
    size = number(parts["size"])
    return Head(end, size, LINE_END, proof=True) if 0 <= size <= MAX_BODY else Unread.BROKEN


BEANSTALKD = Protocol(AppProto.BEANSTALKD, client_head, server_head)
