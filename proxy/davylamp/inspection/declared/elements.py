r"""Cut one direction of a protocol into elements: a head, and a body of the length it declares.

Strategy. A protocol is two functions, one a direction, which read one head at a place in some
bytes. `Elements` does the rest: it waits for heads that come in pieces, passes over bodies without
looking at them, and asks for what must stand behind them.

    state  bytes                                   goes to
    head   a whole head                            body (head where it declares none)
    head   what is no head, or one too long        broken
    body   as many as were declared                end (head where nothing must follow)
    end    exactly what must follow                head
    end    anything else                           broken

What is held is an unfinished head of at most `MAX_HEAD` bytes, or an unfinished end.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import msgspec

from davylamp.inspection.finding import AppProto

MAX_HEAD = 16 * 1024
"""Bytes of a head at most; the longest that is met is what a NATS server says of itself."""

MAX_DIGITS = 10
"""Of a declared length, at most: what needs more is no length."""

LINE_END = b"\r\n"


class Unread(Enum):
    """Why no head was read: ``MORE`` bytes could still make one, or none can."""

    MORE = "more"
    BROKEN = "broken"


class Head(msgspec.Struct, frozen=True):
    """One head: where it ends, what it declares, and what must stand behind that.

    ``proof`` says that its element, once it is whole, is this protocol and hardly anything else.
    """

    end: int
    body: int = 0
    tail: bytes = b""
    proof: bool = False


type ReadHead = Callable[[bytes, int, int], Head | Unread]
"""Reads the head at a place in some bytes; the last argument is how many of them it knows."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """A protocol by how its client's and its server's heads are read."""

    app_proto: AppProto
    client: ReadHead
    server: ReadHead


class Elements:
    """Follows one direction from one head to the next."""

    __slots__ = ("_body", "_held", "_proof", "_read", "_tail", "proven")

    def __init__(self, read: ReadHead) -> None:
        self._read = read
        self._held = b""
        self._body = 0  # bytes still to come of a body
        self._tail = b""  # what must follow it
        self._proof = False  # the element under way would prove the protocol
        self.proven = False

    @property
    def held(self) -> int:
        """Bytes of an unfinished head or end."""
        return len(self._held)

    def feed(self, data: bytes) -> bytes | None:
        """Take the next bytes; return None, or from the element on in which the framing broke."""
        known = len(self._held)
        data = self._held + data
        self._held = b""
        at, size = 0, len(data)
        while at < size:
            if self._body:
                passed = min(self._body, size - at)
                self._body -= passed
                at += passed
            elif self._tail:
                end = data[at : at + len(self._tail)]
                if not self._tail.startswith(end):
                    return data[at:]
                if end != self._tail:
                    self._held = end
                    return None
                at += len(end)
                self._tail = b""
            else:
                head = self._read(data, at, known)
                known = 0
                if head is Unread.MORE and size - at < MAX_HEAD:
                    self._held = data[at:]
                    return None
                if not isinstance(head, Head):
                    return data[at:]
                at, self._body, self._tail = head.end, head.body, head.tail
                self._proof = head.proof
            if self._proof and not self._body and not self._tail:
                self.proven = True
        return None


def read_line(data: bytes, at: int, known: int, verbs: tuple[bytes, ...]) -> bytes | Unread:
    r"""Return the line at a place without its ``\r\n``; it must begin with one of some words."""
    end = data.find(b"\n", at + known)
    if end < 0:
        begun = data[at : at + max(map(len, verbs))]
        like = begun.startswith(verbs) or any(verb.startswith(begun) for verb in verbs)
        return Unread.MORE if like else Unread.BROKEN
    line = data[at:end]
    if not line.endswith(b"\r") or len(line) > MAX_HEAD or not line.startswith(verbs):
        return Unread.BROKEN
    return line[:-1]


def number(text: bytes) -> int:
    """Return a length or a count in decimal digits; -1 for anything else."""
    return int(text) if len(text) <= MAX_DIGITS and text.isdigit() else -1
