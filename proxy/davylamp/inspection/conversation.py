"""One conversation: two directions, each identified by its first bytes and read to its depth."""

from davylamp.flow import Direction
from davylamp.inspection.context import Context
from davylamp.inspection.declared.beanstalkd import BEANSTALKD
from davylamp.inspection.declared.elements import Protocol
from davylamp.inspection.declared.exchange import DeclaredExchange, DeclaredValues, Trust
from davylamp.inspection.declared.mqtt import MQTT
from davylamp.inspection.declared.nats import NATS
from davylamp.inspection.declared.resp import RESP
from davylamp.inspection.dns import DnsMessages
from davylamp.inspection.http import HttpExchange, HttpRequests, HttpResponses
from davylamp.inspection.identify import Opening, identify
from davylamp.inspection.jsonlines import JsonLines
from davylamp.inspection.reader import Place, Reader
from davylamp.inspection.ssh import SshIdentification
from davylamp.inspection.tls import TlsClient

_DECLARED: dict[Opening, tuple[Protocol, Direction]] = {
    Opening.REDIS: (RESP, Direction.ORIGINATOR),
    Opening.BEANSTALKD: (BEANSTALKD, Direction.ORIGINATOR),
    Opening.MQTT: (MQTT, Direction.ORIGINATOR),
    Opening.NATS: (NATS, Direction.RESPONDER),
}
"""Protocols whose values declare their length, and which side speaks first."""


class _Side:
    """One direction: its reader and where that began, or the first bytes until there is one."""

    __slots__ = ("began", "first", "reader")

    def __init__(self) -> None:
        self.reader: Reader | None = None
        self.began = 0
        self.first = b""

    @property
    def partial(self) -> bool:
        return self.reader.partial if self.reader is not None else bool(self.first)

    @property
    def settled(self) -> bool:
        return self.reader is not None and self.reader.settled

    @property
    def held(self) -> int:
        return self.reader.held if self.reader is not None else len(self.first)

    @property
    def half_json(self) -> bool:
        reader = self.reader
        if type(reader) is DeclaredValues:
            return reader.half_json
        return type(reader) is JsonLines and reader.partial


class Conversation:
    """Feeds both directions of one flow (or of one tunnel inside it) to their readers."""

    __slots__ = (
        "_context",
        "_declared",
        "_depth",
        "_http",
        "_layers",
        "_originator",
        "_responder",
    )

    def __init__(self, context: Context, layers: tuple[str, ...], depth: int) -> None:
        self._context = context
        self._layers = layers
        self._depth = depth
        self._http: HttpExchange | None = None
        self._declared: DeclaredExchange | None = None
        self._originator = _Side()
        self._responder = _Side()

    @property
    def settled(self) -> bool:
        """Whether a direction is settled and neither holds half a message."""
        one, two = self._originator, self._responder
        return (one.settled or two.settled) and not one.partial and not two.partial

    @property
    def partial(self) -> bool:
        """Whether a direction holds half a message, or too little to tell what it is."""
        return self._originator.partial or self._responder.partial

    @property
    def half_json(self) -> bool:
        """Whether a direction outside any protocol has begun what looks like a JSON message."""
        return self._originator.half_json or self._responder.half_json

    @property
    def http_body_left(self) -> int | None:
        """Bytes still to come of the originator's HTTP body; None where it speaks no HTTP."""
        reader = self._originator.reader
        return reader.body_left if type(reader) is HttpRequests else None

    @property
    def held(self) -> int:
        """Bytes that both directions' buffers hold."""
        return self._originator.held + self._responder.held

    def receive(self, direction: Direction, data: bytes, offset: int) -> None:
        """Take bytes of one direction, which continue its stream at ``offset``."""
        side = self._side(direction)
        reader = side.reader
        if reader is None:
            if side.first:
                offset -= len(side.first)
                data = side.first + data
            reader = self._open(data, direction)
            if reader is None:
                side.first = data
                return
            side.first = b""
            side.began = offset
            side.reader = reader
        rest = reader.receive(data, offset)
        if rest is not None:
            self._read_on(side, direction, rest, offset + len(data) - len(rest))

    def restart(self, direction: Direction) -> None:
        """Forget what was read of one direction, because bytes of it were lost or came before."""
        self._http = None
        declared = self._declared
        if declared is not None and declared.trust is not Trust.TRUSTED:
            declared.give_up()
            self._declared = None
        if direction is Direction.ORIGINATOR:
            self._originator = _Side()
        else:
            self._responder = _Side()

    def _read_on(self, side: _Side, direction: Direction, rest: bytes, offset: int) -> None:
        """Read what a reader handed back as what it opens; at worst as lines, which keep all."""
        left: bytes | None = rest
        while left is not None:
            before, moved = type(side.reader), offset > side.began
            opened = self._open(left, direction) if left else None
            if opened is None:
                side.reader, side.first = None, left
                return
            reader = opened
            if type(reader) is before and not moved:
                reader = JsonLines(self._place(direction))
            side.reader, side.began = reader, offset
            size = len(left)
            left = reader.receive(left, offset)
            offset += size - len(left or b"")

    def _side(self, direction: Direction) -> _Side:
        return self._originator if direction is Direction.ORIGINATOR else self._responder

    def _place(self, direction: Direction) -> Place:
        return Place(self._context, direction, self._layers, self._depth)

    def _exchange(self) -> HttpExchange:
        if self._http is None:
            self._http = HttpExchange()
        return self._http

    def _open(self, data: bytes, direction: Direction) -> Reader | None:
        """Return what reads a direction that begins so, or None while that is not to be told."""
        declared = self._declared
        if declared is not None and declared.awaits(direction):
            return DeclaredValues(self._place(direction), declared)
        opening = identify(data)
        if opening is None:
            return None
        if opening in _DECLARED and self._may_declare(opening, direction):
            self._declared = DeclaredExchange(_DECLARED[opening][0])
            return DeclaredValues(self._place(direction), self._declared)
        return self._reader(opening, direction)

    def _may_declare(self, opening: Opening, direction: Direction) -> bool:
        """Tell whether this is the side that speaks first, and nothing else was said before."""
        other = self._responder if direction is Direction.ORIGINATOR else self._originator
        return direction is _DECLARED[opening][1] and other.reader is None

    def _reader(self, opening: Opening, direction: Direction) -> Reader:
        place = self._place(direction)
        from_originator = direction is Direction.ORIGINATOR
        if opening is Opening.HTTP_REQUEST and from_originator:
            return HttpRequests(place, self._exchange())
        if opening is Opening.TLS_CLIENT and from_originator:
            return TlsClient(place)
        if opening is Opening.HTTP_RESPONSE and not from_originator:
            return HttpResponses(place, self._exchange())
        if opening is Opening.SSH:
            return SshIdentification(place)
        if opening is Opening.DNS:
            return DnsMessages(place)
        return JsonLines(place)
