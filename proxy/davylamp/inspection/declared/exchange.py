"""Values behind their declared length: no messages, once both ends have shown that they mean it.

Queues, caches and brokers carry documents, logs and jobs that quote Stratum word for word, and put
each value on a line of its own. A miner can write such a head before its login too. So what the
client says is not believed; only a server that speaks the protocol makes it true:

    state     what is read                 until                                   goes to
    open      lines; findings are held     both directions proved the protocol     trusted
    open      the same                     a direction breaks the framing, or      broken
                                           `PATIENCE` bytes prove nothing
    trusted   heads only                   a direction breaks the framing          broken
    broken    lines, from the break on; what was held is told

A pool answers a login with JSON, which breaks the framing with its first byte: the flow is told
before a job has reached the miner, one packet later than without the head. Two ends that both keep
the protocol up have a tunnel of their own (SECURITY.md).
"""

from collections import Counter
from enum import Enum

from davylamp.flow import Direction
from davylamp.inspection.declared.elements import Elements, Protocol
from davylamp.inspection.finding import MAX_EXCERPT, Finding
from davylamp.inspection.jsonlines import JsonLines
from davylamp.inspection.reader import Inner, Place

PATIENCE = 256 * 1024
"""Bytes of both directions that may come before both have proved the protocol.

A first value is sent whole before it is answered; its findings are held as long."""

MAX_ALIKE = 2
"""Findings of one signature that are held for a direction; more say nothing new."""


class Trust(Enum):
    """How far an exchange is believed to be what it seems."""

    OPEN = "open"
    TRUSTED = "trusted"
    BROKEN = "broken"


class DeclaredExchange:
    """What both directions share: a protocol, and whether both have kept to it."""

    __slots__ = ("_seen", "_sides", "protocol", "trust")

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self.trust = Trust.OPEN
        self._sides: list[DeclaredValues] = []
        self._seen = 0

    @property
    def proven(self) -> bool:
        """Whether both directions have shown the protocol."""
        return len(self._sides) == 2 and all(side.proven for side in self._sides)

    @property
    def patience(self) -> int:
        """Bytes that may still come without a proof."""
        return PATIENCE - self._seen

    def awaits(self, direction: Direction) -> bool:
        """Tell whether the other direction has begun the protocol, and this one not yet."""
        sides = self._sides
        return self.trust is Trust.OPEN and len(sides) == 1 and sides[0].direction is not direction

    def join(self, side: "DeclaredValues") -> None:
        """Note a direction's reader."""
        self._sides.append(side)

    def spend(self, size: int) -> None:
        """Count bytes that proved nothing."""
        self._seen += size
        if self._seen >= PATIENCE:
            self.give_up()

    def believe(self) -> None:
        """Take what both directions carry for values, and forget what was found in them."""
        self.trust = Trust.TRUSTED
        for side in self._sides:
            side.forget()

    def give_up(self) -> None:
        """Read both directions as lines from here on, and tell what was held of them."""
        self.trust = Trust.BROKEN
        for side in self._sides:
            side.tell()


class DeclaredValues:
    """Reads one direction as lines and as the protocol, until it is known which is right."""

    __slots__ = (
        "_carried",
        "_elements",
        "_exchange",
        "_found",
        "_lines",
        "_place",
        "_seen",
    )
    inner = Inner.NONE

    def __init__(self, place: Place, exchange: DeclaredExchange) -> None:
        protocol = exchange.protocol
        client = place.direction is Direction.ORIGINATOR
        self._place = place
        self._exchange = exchange
        self._elements = Elements(protocol.client if client else protocol.server)
        self._carried = place.context.carried()  # where lines tell what they find
        self._lines = self._new_lines()
        self._found: list[Finding] = []  # what is held
        self._seen = 0
        exchange.join(self)

    @property
    def direction(self) -> Direction:
        """Whose bytes are read."""
        return self._place.direction

    @property
    def proven(self) -> bool:
        """Whether this direction has shown the protocol."""
        return self._elements.proven

    @property
    def settled(self) -> bool:
        """Whether the depth was searched."""
        return self._seen >= self._place.depth

    @property
    def half_json(self) -> bool:
        """Whether a line has begun that may be a message; none is looked for where trust is."""
        return self._lines.partial

    @property
    def partial(self) -> bool:
        """Whether half a message is held, or something whose meaning the other end decides."""
        return self.half_json or bool(self._found)

    @property
    def held(self) -> int:
        """Bytes of an unfinished head, of an unfinished message, and of held evidence at most."""
        return self._elements.held + self._lines.held + MAX_EXCERPT * len(self._found)

    def receive(self, data: bytes, offset: int) -> None:
        """Take more of the stream."""
        self._seen += len(data)
        while data:
            size = len(data)
            match self._exchange.trust:
                case Trust.OPEN:
                    size = min(size, self._exchange.patience)
                    self._try(data[:size], offset)
                case Trust.TRUSTED:
                    self._follow(data, offset)
                case Trust.BROKEN:
                    self._search(data, offset)
            data = data[size:]
            offset += size

    def forget(self) -> None:
        """Drop what was held: it stands in values."""
        self._found.clear()
        self._lines = self._new_lines()
        self._place.context.app_proto = self._exchange.protocol.app_proto

    def tell(self) -> None:
        """Report what was held: it does not."""
        self._carried.findings = self._found
        self._found = []
        self._place.context.adopt(self._carried)

    def _try(self, data: bytes, offset: int) -> None:
        """Read bytes both ways, while it is not known which is right."""
        exchange = self._exchange
        rest = self._elements.feed(data)
        if exchange.proven:
            exchange.believe()
            self._break(rest, offset + len(data))
            return
        end = offset + len(data)
        kept = data if rest is None else data[: max(0, len(data) - len(rest))]
        if kept:
            self._lines.receive(kept, offset)
            self._hold(end - (self._elements.held if rest is None else len(rest)))
        if rest is None:
            exchange.spend(len(data))
        else:
            exchange.give_up()
            self._search(data[len(kept) :], offset + len(kept))

    def _follow(self, data: bytes, offset: int) -> None:
        self._break(self._elements.feed(data), offset + len(data))

    def _break(self, rest: bytes | None, end: int) -> None:
        """Leave the protocol, if what ends at ``end`` is none of its elements any more."""
        if rest is not None:
            self._exchange.give_up()
            self._search(rest, end - len(rest))

    def _search(self, data: bytes, offset: int) -> None:
        self._lines.receive(data, offset)
        self._place.context.adopt(self._carried)

    def _hold(self, known: int) -> None:
        """Hold what was found, but no more alike than needed of what ends before ``known``.

        Behind it stands half a head, which may yet turn out to be none.
        """
        found, alike = self._found + self._carried.findings, Counter[str]()
        self._carried.findings.clear()
        self._found = []
        for one in found:
            alike[one.signature.id] += 1
            if alike[one.signature.id] <= MAX_ALIKE or one.end > known:
                self._found.append(one)

    def _new_lines(self) -> JsonLines:
        place = self._place
        return JsonLines(
            Place(self._carried, place.direction, place.layers, place.depth, place.strict)
        )
