"""One conversation: two directions, each identified by its first bytes and read to its depth.

A reader that opens a layer (SOCKS, CONNECT, a PROXY header) hands back what is inside it: from
there on the direction is read by a conversation of its own, so that layers nest in any order and
share nothing but the flow's context. At most `MAX_NESTING` deep; below that, a layer's inside is
read in place, by the same readers.

    a direction's state   what its bytes go to
    first bytes           nothing yet: they are kept until they tell what they open
    reader                that reader, until it hands bytes back
    inside                the inner conversation, for good (a refused CONNECT excepted)
"""

from davylamp.flow import Direction
from davylamp.inspection.context import Context
from davylamp.inspection.declared.exchange import DeclaredExchange, DeclaredValues, Trust
from davylamp.inspection.http import HttpExchange, HttpRequests, HttpResponses
from davylamp.inspection.identify import Opening, identify
from davylamp.inspection.jsonlines import JsonLines
from davylamp.inspection.reader import Inner, Place, Reader
from davylamp.inspection.readers import DECLARED, LINES, OPAQUE, READERS, lines
from davylamp.inspection.side import Side
from davylamp.inspection.socks import SocksClient, SocksServer
from davylamp.inspection.tls import TlsClient
from davylamp.inspection.tlsserver import TlsServer
from davylamp.inspection.watch import DUINO_STARTS, Watch
from davylamp.inspection.websocket import WebSocketFrames
from davylamp.signatures.flights import Flights

MAX_NESTING = 8


class Conversation:
    """Feeds both directions of one flow (or of one tunnel inside it) to their readers.

    ``strict`` and ``depth`` are as in a `Place`; ``nesting`` counts the conversations around it.
    """

    __slots__ = (
        "_context",
        "_declared",
        "_depth",
        "_duino",
        "_flights",
        "_http",
        "_inner",
        "_kind",
        "_layers",
        "_messages",
        "_nesting",
        "_originator",
        "_responder",
        "_starts",
        "_strict",
        "_watch",
    )

    def __init__(
        self,
        context: Context,
        layers: tuple[str, ...],
        depth: int,
        *,
        strict: bool = False,
        nesting: int = 0,
    ) -> None:
        self._context = context
        self._layers = layers
        self._depth = depth
        self._strict = strict
        self._nesting = nesting
        self._http: HttpExchange | None = None
        self._declared: DeclaredExchange | None = None
        self._watch: Watch | None = None
        self._flights = Flights() if context.measures else None
        self._duino = False  # whether Duino-Coin was, or is, watched for
        self._inner: Conversation | None = None
        self._kind = Inner.NONE  # of the layer that the inner conversation is in
        self._messages: CarriedStream | None = None
        self._starts = context.pack.starts
        self._originator = Side(self._starts)
        self._responder = Side(self._starts)

    @property
    def flights(self) -> Flights | None:
        """What was measured of the innermost tunnel, or of the flow where there is none."""
        return self._flights if self._inner is None else self._inner.flights

    @property
    def settled(self) -> bool:
        """Whether a direction is settled and neither holds half a message."""
        one, two = self._originator, self._responder
        if one.partial or two.partial:
            return False
        inner = self._inner
        if inner is not None:
            return inner.settled
        return one.settled or two.settled

    @property
    def partial(self) -> bool:
        """Whether a direction holds half a message, or too little to tell what it is."""
        inner = self._inner
        return (
            self._originator.partial
            or self._responder.partial
            or (inner is not None and inner.partial)
        )

    @property
    def half_json(self) -> bool:
        """Whether a direction outside any protocol has begun what looks like a JSON message."""
        inner = self._inner
        return (
            self._originator.half_json
            or self._responder.half_json
            or (inner is not None and inner.half_json)
        )

    @property
    def http_body_left(self) -> int | None:
        """Bytes still to come of the originator's HTTP body; None where it speaks no HTTP."""
        if self._originator.inside and self._inner is not None:
            return self._inner.http_body_left
        reader = self._originator.reader
        return reader.body_left if type(reader) is HttpRequests else None

    @property
    def held(self) -> int:
        """Bytes that both directions' buffers hold."""
        held = self._originator.held + self._responder.held
        if self._watch is not None:
            held += self._watch.held
        return held if self._inner is None else held + self._inner.held

    def half_of(self, direction: Direction) -> bool:
        """Tell whether one direction holds half a message."""
        side = self._side(direction)
        return self._inner.half_of(direction) if side.inside and self._inner else side.partial

    def held_of(self, direction: Direction) -> int:
        """Return how many bytes one direction's buffers hold."""
        side = self._side(direction)
        return self._inner.held_of(direction) if side.inside and self._inner else side.held

    def receive(self, direction: Direction, data: bytes, offset: int) -> None:
        """Take bytes of one direction, which continue its stream at ``offset``."""
        side = self._side(direction)
        if side.inside and self._inner is not None:
            self._inner.receive(direction, data, offset)
            return
        self._observe(side, direction, data, offset)
        reader = side.reader
        if reader is None:
            if side.first:
                offset -= len(side.first)
                data = side.first + data
            reader = self._open(data, direction)
            if reader is None:
                side.first = data
                return
            if type(reader) in OPAQUE:
                self._begin_watch(direction, reader, data, offset)
            side.first = b""
            side.began = offset
            side.reader = reader
        rest = reader.receive(data, offset)
        if rest is not None:
            self._read_on(side, direction, rest, offset + len(data) - len(rest))
        if self._http is not None and self._http.refused:
            self._leave(self._http)

    def _observe(self, side: Side, direction: Direction, data: bytes, offset: int) -> None:
        """Have bytes seen by all that does not read them."""
        if self._flights is not None:
            self._flights.add(direction, len(data))
        if self._watch is not None:
            self._watch.observe(direction, data, offset)
        if side.starts is not None:
            side.begin(self._context, direction, self._layers, data)
        if side.start is not None:
            side.look(data, offset)

    def restart(self, direction: Direction) -> None:
        """Forget what was read of one direction, because what follows comes before it.

        Where it was inside a tunnel it will enter that again, and find the other direction there.
        """
        if self._inner is not None:
            self._inner.restart(direction)
        self._forget(direction)

    def resume(self, direction: Direction) -> None:
        """Read one direction anew in the layer where it is, because bytes of it were lost."""
        side = self._side(direction)
        if side.inside and self._inner is not None:
            self._inner.resume(direction)
            return
        frames = type(side.reader) is WebSocketFrames
        http = self._http
        self._forget(direction)
        if frames:  # as a rule a packet begins with a frame
            self._http = http
            self._side(direction).reader = self._frames(direction)

    def _forget(self, direction: Direction) -> None:
        self._http = None
        self._watch = None
        self._duino = False
        declared = self._declared
        if declared is not None and declared.trust is not Trust.TRUSTED:
            declared.give_up()
            self._declared = None
        if direction is Direction.ORIGINATOR:
            self._originator = Side(self._starts)
        else:
            self._responder = Side(self._starts)

    # --- from one reader to the next ----------------------------------------------------------

    def _read_on(self, side: Side, direction: Direction, rest: bytes, offset: int) -> None:
        """Read what a reader handed back as what it opens; at worst as lines, which keep all."""
        left: bytes | None = rest
        while left is not None:
            before, moved = type(side.reader), offset > side.began
            inner = side.reader.inner if side.reader is not None else Inner.NONE
            if inner is Inner.WEBSOCKET:
                reader: Reader = self._frames(direction)
            elif inner is not Inner.NONE and self._nesting < MAX_NESTING:
                self._enter(side, inner)
                if left:
                    self.receive(direction, left, offset)
                return
            else:
                opened = self._open(left, direction) if left else None
                if opened is None:
                    side.reader, side.first = None, left
                    return
                reader = opened
                if type(reader) is before and not moved:
                    reader = lines(left, self._place(direction))
                    if type(reader) is before:
                        reader = JsonLines(self._place(direction))
            side.reader, side.began = reader, offset
            size = len(left)
            left = reader.receive(left, offset) if left else None
            offset += size - len(left or b"")

    def _enter(self, side: Side, kind: Inner) -> None:
        """Lead a direction into the tunnel that it has opened."""
        if self._inner is None:
            self._kind = kind
            self._inner = Conversation(
                self._context,
                (*self._layers, kind.value),
                self._depth,
                strict=self._strict,
                nesting=self._nesting + 1,
            )
        side.reader = None
        side.inside = True
        if kind is Inner.PROXY_HEADER and self._responder.silent:
            self._responder.inside = True  # the server says nothing of its own before

    def _leave(self, http: HttpExchange) -> None:
        """Go back to where the server refused to open a tunnel: another request may follow."""
        http.refused = False
        inner = self._inner
        if inner is not None and not inner.partial and self._kind is Inner.HTTP_CONNECT:
            self._inner = None
            self._originator = Side(self._starts)

    def _frames(self, direction: Direction) -> WebSocketFrames:
        """Return what reads a direction's WebSocket frames."""
        layers = (*self._layers, Inner.WEBSOCKET.value)
        if self._messages is None:
            self._messages = CarriedStream(self._context, layers, self._depth, self._nesting + 1)
        place = Place(self._context, direction, layers, self._depth, self._strict)
        deflate = self._http.deflate if self._http is not None else None
        return WebSocketFrames(place, deflate, self._messages)

    def _begin_watch(self, direction: Direction, reader: Reader, data: bytes, offset: int) -> None:
        """Watch both directions, from these first bytes of one on, if they may be worth it."""
        from_originator = direction is Direction.ORIGINATOR
        noise = from_originator and self._responder.silent
        duino = not self._duino and isinstance(reader, LINES) and data[0] in DUINO_STARTS
        if not noise and not duino:
            return
        watch = self._watch or Watch(self._context, self._layers)
        if noise:
            watch.begin_noise(data, offset)
        if duino:
            watch.begin_duino(direction, data, offset)
            self._duino = True
        self._watch = watch if watch.watching else None

    # --- what reads what ----------------------------------------------------------------------

    def _side(self, direction: Direction) -> Side:
        return self._originator if direction is Direction.ORIGINATOR else self._responder

    def _place(self, direction: Direction) -> Place:
        return Place(self._context, direction, self._layers, self._depth, self._strict)

    def _exchange(self) -> HttpExchange:
        if self._http is None:
            self._http = HttpExchange()
        return self._http

    def _open(self, data: bytes, direction: Direction) -> Reader | None:
        """Return what reads a direction that begins so, or None while that is not to be told."""
        if direction is Direction.RESPONDER and self._asked_socks():
            return SocksServer(self._place(direction))
        if direction is Direction.ORIGINATOR and self._http is not None and self._http.switched:
            return self._frames(direction)
        declared = self._declared
        if declared is not None and declared.awaits(direction):
            return DeclaredValues(self._place(direction), declared)
        opening = identify(data)
        if opening is None:
            return None
        if opening in DECLARED and self._may_declare(opening, direction):
            self._declared = DeclaredExchange(DECLARED[opening][0])
            return DeclaredValues(self._place(direction), self._declared)
        return self._reader(opening, direction) or lines(data, self._place(direction))

    def _asked_socks(self) -> bool:
        """Tell whether the originator has begun to ask, or has asked, a proxy for a tunnel."""
        side = self._originator
        asking = type(side.reader) is SocksClient
        return asking or (side.inside and self._kind in (Inner.SOCKS4, Inner.SOCKS5))

    def _may_declare(self, opening: Opening, direction: Direction) -> bool:
        """Tell whether this is the side that speaks first, and nothing else was said before."""
        other = self._responder if direction is Direction.ORIGINATOR else self._originator
        return direction is DECLARED[opening][1] and other.reader is None

    def _reader(self, opening: Opening, direction: Direction) -> Reader | None:
        """Return the reader of a protocol, or None where this direction does not speak it."""
        place = self._place(direction)
        match opening, direction:
            case Opening.HTTP_REQUEST, Direction.ORIGINATOR:
                return HttpRequests(place, self._exchange())
            case Opening.HTTP_RESPONSE, Direction.RESPONDER:
                return HttpResponses(place, self._exchange())
            case Opening.WEBSOCKET, _:
                return self._frames(direction)
            case Opening.TLS_CLIENT, Direction.RESPONDER:  # the same records begin both
                client = self._originator.reader
                if isinstance(client, TlsClient) and client.awaits:
                    return TlsServer(place, client)
                return None
            case _:
                make = READERS.get((opening, direction))
                return None if make is None else make(place)


class CarriedStream:
    """A byte stream in another protocol's messages: both directions, as a conversation.

    What is found in it is told with the place of the message that completed it. Only what is JSON
    from its first byte on is read as lines.
    """

    __slots__ = ("_context", "_conversation", "_outer", "_seen")

    def __init__(self, outer: Context, layers: tuple[str, ...], depth: int, nesting: int) -> None:
        self._outer = outer
        self._context = outer.carried()
        self._seen = dict.fromkeys(Direction, 0)
        self._conversation = (
            Conversation(self._context, layers, depth, strict=True, nesting=nesting)
            if nesting <= MAX_NESTING
            else None
        )

    def receive(self, direction: Direction, data: bytes, span: tuple[int, int]) -> None:
        """Take the bytes of the message that stands at ``span`` of the direction's stream."""
        if self._conversation is None:
            return
        self._conversation.receive(direction, data, self._seen[direction])
        self._seen[direction] += len(data)
        self._outer.adopt(self._context, span)

    def partial(self, direction: Direction) -> bool:
        """Whether a direction holds half a message."""
        return self._conversation is not None and self._conversation.half_of(direction)

    def held(self, direction: Direction) -> int:
        """Bytes that a direction's buffers hold."""
        return 0 if self._conversation is None else self._conversation.held_of(direction)
