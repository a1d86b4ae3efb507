"""One HTTP request and its response under inspection, and each one's body as it comes in.

Strategy. Both go through one Inspector as HTTP/1 text (`httptext`). Where a body's length is known
its end is written with its last byte, so that the core judges the message before that byte is sent
on. Where it is not known (chunked coding, HTTP/2 without Content-Length) only the end itself tells:
then a body that is by now one complete JSON value is judged as if it ended here, and if policy
would block that, the piece that completed it waits. More of a body sets it free, since what goes on
is no message of a miner; the end has it judged for good. No other body ever waits.
"""

from dataclasses import dataclass, field

from davylamp.flow import Direction
from davylamp.inspection.finding import AppProto, Finding
from davylamp.inspection.framing import BLANK, MAX_MESSAGE, Framer
from davylamp.inspection.inspector import DEPTH, Inspector
from davylamp_mitm.assay import Assay
from davylamp_mitm.httptext import LAST_CHUNK, chunk


class Exchange:
    """What both directions share."""

    __slots__ = ("_assay", "_inspector", "bodies")

    def __init__(self, assay: Assay) -> None:
        self._assay = assay
        self._inspector: Inspector | None = assay.inspector()
        self.bodies: dict[Direction, Body] = {}
        """The bodies that have begun."""

    @property
    def app_proto(self) -> AppProto:
        """What is spoken."""
        return AppProto.HTTP

    @property
    def held(self) -> int:
        """Bytes that the inspection's buffers hold."""
        bodies = sum(body.held for body in self.bodies.values())
        return bodies + (self._inspector.held if self._inspector is not None else 0)

    @property
    def partial(self) -> bool:
        """Whether the rest of a message must be looked at."""
        return self._inspector is not None and self._inspector.partial

    def give_up(self) -> None:
        """Look at this exchange no more."""
        self._inspector = None

    def begin(
        self, direction: Direction, head: bytes, length: int | None, now: float
    ) -> tuple[Finding, ...]:
        """Take a message's head; ``length`` is its body's in bytes, if that is known.

        The head says that chunks follow.
        """
        self.bodies[direction] = Body(self, direction, head, length)
        return self.feed(direction, head, now)

    def feed(self, direction: Direction, text: bytes, now: float) -> tuple[Finding, ...]:
        """Show HTTP/1 text of one direction to the Inspector."""
        return self._inspector.receive(direction, text, now) if self._inspector is not None else ()

    def probe(
        self, direction: Direction, head: bytes, body: bytes, now: float
    ) -> tuple[Finding, ...]:
        """Return what would be found if a message were this head and this body."""
        return self._assay.alone().receive(direction, head + chunk(body) + LAST_CHUNK, now)


@dataclass(frozen=True, slots=True)
class Step:
    """What a piece of a body led to.

    ``found`` is for good; ``doubtful`` is what would be found if the body ended here.
    """

    found: tuple[Finding, ...] = ()
    doubtful: tuple[Finding, ...] = ()


_NOTHING = Step()


@dataclass(slots=True)
class Body:
    """One direction's body: counts it, shows it to the exchange, knows when it is complete.

    ``passed`` says that its beginning told nothing, and that the rest is only counted.
    """

    _exchange: Exchange
    _direction: Direction
    _head: bytes
    _length: int | None
    _seen: int = 0
    _ended: bool = False
    _framer: Framer | None = field(default_factory=Framer)
    passed: bool = False
    _start: int | None = None  # where its text begins, behind blanks

    @property
    def held(self) -> int:
        """Bytes that are kept besides what the Inspector keeps."""
        return len(self._head) + (self._framer.held if self._framer is not None else 0)

    def receive(self, data: bytes, now: float) -> Step:
        """Take the next bytes (at least one), and the end if these are the last.

        Raises ValueError where there are more than were announced.
        """
        exchange, direction = self._exchange, self._direction
        offset = self._seen
        self._seen += len(data)
        if self._length is not None and self._seen > self._length:
            raise ValueError(f"a body of {self._length} bytes has {self._seen}")
        if self.passed or (offset >= DEPTH and not exchange.partial):
            self.passed = True
            self._framer = None
            return _NOTHING
        found = exchange.feed(direction, chunk(data), now)
        if self._seen == self._length:
            return Step(found + self.end(now))
        if found or self._length is not None:
            return Step(found) if found else _NOTHING
        value = self._complete_value(data, offset)
        return Step((), exchange.probe(direction, self._head, value, now)) if value else _NOTHING

    def end(self, now: float) -> tuple[Finding, ...]:
        """Take the end; return what the whole is, the first time."""
        if self._ended:
            return ()
        self._ended = True
        self._framer = None
        return self._exchange.feed(self._direction, LAST_CHUNK, now)

    def _complete_value(self, data: bytes, offset: int) -> bytes:
        """Return the body so far if it is one complete JSON value, else nothing."""
        if self._framer is None:
            return b""
        if self._start is None:
            text = data.lstrip(BLANK)
            if not text:
                return b""
            self._start = offset + len(data) - len(text)
            if text[0] not in b"{[":
                self._framer = None
                return b""
        for framed in self._framer.receive(data, offset):
            if framed.offset == self._start:
                self._framer = None  # whatever follows, there is no second first value
                behind = data[framed.end - offset :]
                return framed.text if not behind.strip(BLANK) else b""
        if self._seen - self._start > MAX_MESSAGE:
            self._framer = None
        return b""
