"""HTTP/1: requests and responses, and the JSON-RPC that may be their bodies.

A body is judged as one JSON value, never line by line (`httpbody`). A request that is complete
settles the flow, unless it asks for another protocol; what follows on the same connection comes
back here if it begins like a message (docs/kernel.md, triggers). Bytes that are no HTTP message any
more, on either side, are handed back to be read as what they are: inside the tunnel behind CONNECT,
as WebSocket frames behind a 101 that says so, else in this layer. So are
lines among header fields that begin with a bracket, which no field name has (RFC 9110 section
5.1): a pool that skips what it cannot read would take them for requests.
"""

import re

from davylamp.flow import Direction
from davylamp.inspection.finding import AppProto
from davylamp.inspection.httpbody import JsonBody
from davylamp.inspection.httphead import NO_FIELD, path_of, told_by
from davylamp.inspection.reader import Inner, Place
from davylamp.inspection.wire.http import (
    BodyData,
    HttpEvent,
    MessageEnd,
    RequestReader,
    ResponseReader,
    Upgraded,
)
from davylamp.inspection.wire.http_head import Framing, RequestHead, ResponseHead
from davylamp.inspection.wire.reader import Malformed
from davylamp.inspection.wire.websocket import Deflate, permessage_deflate
from davylamp.signatures.heads import Head, HeadIndex, unfolded

_WEBSOCKET = "websocket"
_BEGUN = re.compile(rb"[ \t]*(?=[{\[])")  # what `NO_FIELD` finds, behind its line's beginning
_NO_BODY = frozenset({Framing.NONE, Framing.TUNNEL})


class HttpExchange:
    """What both directions share: a response is read knowing which request it answers.

    ``left`` is what the client had sent of another request when the server switched protocols, and
    ``switched`` says that it did, to WebSocket.
    ``switching`` says that the client has asked for another protocol and was not answered, or was
    told yes. ``websocket`` says that it is that one, and ``deflate`` how its messages may be
    compressed. ``refused`` says that the server would not CONNECT.
    """

    __slots__ = (
        "deflate",
        "left",
        "refused",
        "requests",
        "responses",
        "switching",
        "websocket",
    )

    def __init__(self) -> None:
        self.requests = RequestReader()
        self.responses = ResponseReader()
        self.left = b""
        self.switching = False
        self.refused = False
        self.websocket = False
        self.deflate: Deflate | None = None

    @property
    def switched(self) -> bool:
        """Whether the server has answered that both speak WebSocket from here on."""
        return self.websocket and self.requests.done

    def answered(self, head: ResponseHead) -> None:
        """Note what a final response, or a 101, means for the request before it."""
        if head.status == 101:
            self.switching = True
            self.websocket = _WEBSOCKET in head.upgrade
            self.deflate = permessage_deflate(head.headers)
            for event in self.requests.upgrade():  # what the client sends from now on is no HTTP
                if isinstance(event, Upgraded):
                    self.left += event.remaining
        elif head.status >= 200:
            self.switching = False
            self.refused = head.method == "CONNECT" and head.status >= 300


class _Messages:
    """One direction: bodies that may be JSON, host names, and where HTTP ends."""

    __slots__ = ("_base", "_blank", "_body", "_exchange", "_headed", "_place", "_seen", "inner")

    def __init__(self, place: Place, exchange: HttpExchange) -> None:
        self._place = place
        self._exchange = exchange
        self._base = 0  # of the stream, where this reader began
        self._seen = 0
        self._body = JsonBody(place)
        self._headed = False  # between a head and its message's end
        self._blank = False  # an unfinished head's last line, as far as it has come
        self.inner = Inner.NONE

    @property
    def _deep(self) -> bool:
        return self._seen >= self._place.depth and not self._body.held

    def _read(
        self, reader: RequestReader | ResponseReader, data: bytes, offset: int
    ) -> bytes | None:
        """Feed the direction's reader; return what is left when HTTP has ended."""
        if not self._seen:
            self._base = offset
        self._seen += len(data)
        left = self._take(reader.feed(data), data)
        if left is None and reader.held and not self._headed:
            return self._no_field(data, reader.held)
        return left

    def _no_field(self, data: bytes, held: int) -> bytes | None:
        """Return a line that is no field, of an unfinished head with ``held`` bytes by now.

        Only what is new of it is searched: a head may come byte by byte.
        """
        if held > len(data):
            begun = _BEGUN.match(data) if self._blank else None
        else:
            data, begun, self._blank = data[-held:], None, False
        if line := begun or NO_FIELD.search(data):
            self._blank = False
            return data[line.end() :]
        written = data.rstrip(b" \t")
        self._blank = written.endswith(b"\n") if written else self._blank
        return None

    def _take(self, events: list[HttpEvent], data: bytes) -> bytes | None:
        """Handle events in order; return what is left when HTTP has ended."""
        for event in events:
            match event:
                case RequestHead() | ResponseHead():
                    if line := NO_FIELD.search(event.raw):
                        behind = self._seen - event.offset - len(event.raw)
                        return event.raw[line.end() :] + data[len(data) - behind :]
                    self._begin(event)
                case MessageEnd():
                    self._headed = False
                    self._body.end(self._base + event.offset)
                case BodyData():
                    self._body.add(event.data, self._base + event.offset)
                case Upgraded():
                    self.inner = _inner(event.protocol)
                    return event.remaining
                case Malformed():
                    return event.rest
        return None

    def _begin(self, head: RequestHead | ResponseHead) -> None:
        """Note a message's head."""
        self._place.context.app_proto = AppProto.HTTP
        self._headed = True
        raw = unfolded(head.raw)
        lower = raw.lower()
        self._tell(head, lower)
        if head.framing not in _NO_BODY:
            self._body.begin(head.raw)
        if isinstance(head, RequestHead):
            self._exchange.responses.expect(head.method)
            if head.upgrade:
                self._exchange.switching = True
                self._exchange.websocket = _WEBSOCKET in head.upgrade
            self._name(head)
        else:
            self._exchange.answered(head)
        heads = self._place.context.pack.heads
        if heads is not None:
            self._ask(head, raw, lower, heads)

    def _ask(
        self, head: RequestHead | ResponseHead, raw: bytes, lower: bytes, heads: HeadIndex
    ) -> None:
        """Report what a head meets of the pack's conditions.

        ``raw`` is the head without folded lines, ``lower`` that in lower case.
        """
        if isinstance(head, RequestHead):
            path = path_of(head.target)
            asked = heads.of_request(path, head.host, raw, lower)
            whole = Head(Direction.ORIGINATOR, head.method, path, head.host)
        else:
            asked = heads.of_response(raw, lower)
            whole = Head(Direction.RESPONDER)
        if not asked:
            return
        place = self._place
        if found := heads.match(asked, whole, head.headers):
            layers = (*place.layers, AppProto.HTTP.value)
            at = self._base + head.offset
            place.context.met(found, place.direction, at, head.raw, layers)

    def _tell(self, head: RequestHead | ResponseHead, lower: bytes) -> None:
        """Report what a head alone says of mining."""
        place = self._place
        for event in told_by(head, lower):
            layers = (*place.layers, AppProto.HTTP.value)
            place.context.noticed(
                event, place.direction, self._base + head.offset, head.raw, layers
            )

    def _name(self, head: RequestHead) -> None:
        """Look up the host that a request is for."""
        place, context = self._place, self._place.context
        field = "http.connect" if head.method == "CONNECT" else "http.host"
        if context.pack.match_names(field, head.host):
            layers = (*place.layers, AppProto.HTTP.value)
            at = self._base + head.offset
            context.named(field, head.host, place.direction, at, head.raw, layers)


def _inner(protocol: str) -> Inner:
    if protocol == "connect":
        return Inner.HTTP_CONNECT
    return Inner.WEBSOCKET if _WEBSOCKET in protocol else Inner.NONE


class HttpRequests(_Messages):
    """The client's direction."""

    __slots__ = ()

    @property
    def body_left(self) -> int:
        """Bytes that the request's body has still to come, as far as that is said beforehand."""
        return self._exchange.requests.body_left

    @property
    def settled(self) -> bool:
        """Whether a request is complete and asks for nothing else, or the depth was searched."""
        return not self.partial and (not self._exchange.switching or self._deep)

    @property
    def partial(self) -> bool:
        """Whether a request has begun and not ended, within the depth."""
        exchange = self._exchange
        return (exchange.requests.partial and not self._deep) or bool(exchange.left)

    @property
    def held(self) -> int:
        """Bytes of the unfinished head or JSON body."""
        exchange = self._exchange
        return 2 * exchange.requests.held + len(exchange.left) + self._body.held

    def receive(self, data: bytes, offset: int) -> bytes | None:
        """Take more of the stream; hand back what is no request."""
        exchange = self._exchange
        left: bytes | None
        if exchange.requests.done:
            left, exchange.left = exchange.left + data, b""
            self.inner = Inner.WEBSOCKET if exchange.websocket else Inner.NONE
        else:
            left = self._read(exchange.requests, data, offset)
        if left is not None:
            exchange.requests = RequestReader()  # for HTTP inside a tunnel
        return left


class HttpResponses(_Messages):
    """The server's direction."""

    __slots__ = ()

    @property
    def settled(self) -> bool:
        """Whether the depth was searched; a response alone does not settle a flow."""
        return self._deep

    @property
    def partial(self) -> bool:
        """Whether a JSON body has begun and not ended."""
        return self._body.held > 0

    @property
    def held(self) -> int:
        """Bytes of the unfinished head or JSON body."""
        return 2 * self._exchange.responses.held + self._body.held

    def receive(self, data: bytes, offset: int) -> bytes | None:
        """Take more of the stream; hand back what is no response."""
        left = self._read(self._exchange.responses, data, offset)
        if left is not None:
            self._exchange.responses = ResponseReader()
        return left
