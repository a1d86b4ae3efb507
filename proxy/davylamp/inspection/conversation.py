"""One conversation: two directions, each identified by its first bytes and read to its depth."""

from davylamp.flow import Direction
from davylamp.inspection.context import Context
from davylamp.inspection.http import HttpExchange, HttpRequests, HttpResponses
from davylamp.inspection.identify import Opening, identify
from davylamp.inspection.jsonlines import JsonLines
from davylamp.inspection.reader import Place, Reader
from davylamp.inspection.ssh import SshIdentification
from davylamp.inspection.tls import TlsClient


class _Side:
    """One direction: its reader, or the first bytes until there is one."""

    __slots__ = ("first", "reader")

    def __init__(self) -> None:
        self.reader: Reader | None = None
        self.first = b""


class Conversation:
    """Feeds both directions of one flow (or of one tunnel inside it) to their readers."""

    __slots__ = ("_context", "_depth", "_http", "_layers", "_sides")

    def __init__(self, context: Context, layers: tuple[str, ...], depth: int) -> None:
        self._context = context
        self._layers = layers
        self._depth = depth
        self._http: HttpExchange | None = None
        self._sides = {Direction.ORIGINATOR: _Side(), Direction.RESPONDER: _Side()}

    @property
    def settled(self) -> bool:
        """Whether a direction is settled and neither holds half a message."""
        return not self.partial and any(
            side.reader is not None and side.reader.settled for side in self._sides.values()
        )

    @property
    def partial(self) -> bool:
        """Whether a direction holds half a message, or too little to tell what it is."""
        return any(
            side.reader.partial if side.reader is not None else bool(side.first)
            for side in self._sides.values()
        )

    @property
    def held(self) -> int:
        """Bytes that both directions' buffers hold."""
        return sum(
            side.reader.held if side.reader is not None else len(side.first)
            for side in self._sides.values()
        )

    def receive(self, direction: Direction, data: bytes, offset: int) -> None:
        """Take bytes of one direction, which continue its stream at ``offset``."""
        side = self._sides[direction]
        if side.reader is None:
            side.first += data
            opening = identify(side.first)
            if opening is None:
                return
            offset -= len(side.first) - len(data)
            data, side.first = side.first, b""
            side.reader = self._reader(opening, direction)
        rest = side.reader.receive(data, offset)
        if rest is not None:
            self._read_on(side, direction, rest, offset + len(data) - len(rest))

    def _read_on(self, side: _Side, direction: Direction, rest: bytes, offset: int) -> None:
        """Read what a reader handed back as what it opens; at worst as lines, which keep all."""
        before = type(side.reader)
        side.reader = None
        if rest:
            opening = identify(rest)
            side.reader = self._reader(opening or Opening.OTHER, direction)
            if isinstance(side.reader, before):
                side.reader = JsonLines(self._place(direction))
            again = side.reader.receive(rest, offset)
            if again is not None:
                side.reader = JsonLines(self._place(direction))
                side.reader.receive(again, offset + len(rest) - len(again))

    def gap(self, direction: Direction) -> None:
        """Note that bytes of one direction were lost; begin anew with what follows."""
        self._http = None
        self._sides[direction] = _Side()

    def _place(self, direction: Direction) -> Place:
        return Place(self._context, direction, self._layers, self._depth)

    def _exchange(self) -> HttpExchange:
        if self._http is None:
            self._http = HttpExchange()
        return self._http

    def _reader(self, opening: Opening, direction: Direction) -> Reader:
        place = self._place(direction)
        match opening, direction:
            case Opening.TLS_CLIENT, Direction.ORIGINATOR:
                return TlsClient(place)
            case Opening.SSH, _:
                return SshIdentification(place)
            case Opening.HTTP_REQUEST, Direction.ORIGINATOR:
                return HttpRequests(place, self._exchange())
            case Opening.HTTP_RESPONSE, Direction.RESPONDER:
                return HttpResponses(place, self._exchange())
            case _:
                return JsonLines(place)
