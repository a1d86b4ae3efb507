"""HTTP/1: requests and responses, and the JSON-RPC that may be their bodies.

A body is judged as one JSON value, never line by line: documents, logs and prompts that quote
Stratum travel in bodies all day. A request that is complete settles the flow; what follows on the
same connection comes back here if it begins like a message (docs/kernel.md, triggers). Bytes that
are no HTTP message any more, on either side, are handed back to be read as what they are. So are
lines among header fields that begin with a bracket, which no field name has (RFC 9110 section
5.1): a pool that skips what it cannot read would take them for requests.
"""

import re

from davylamp.inspection.finding import AppProto
from davylamp.inspection.framing import MAX_MESSAGE
from davylamp.inspection.jsontext import read_objects
from davylamp.inspection.reader import Place
from davylamp.inspection.wire.http import (
    BodyData,
    HttpEvent,
    MessageEnd,
    RequestReader,
    ResponseReader,
    Upgraded,
)
from davylamp.inspection.wire.http_head import RequestHead, ResponseHead
from davylamp.inspection.wire.reader import Malformed

_BLANK = b" \t\r\n\xef\xbb\xbf"
_NO_FIELD = re.compile(rb"\n[ \t]*(?=[{\[])")


class HttpExchange:
    """What both directions share: a response is read knowing which request it answers."""

    __slots__ = ("left", "requests", "responses")

    def __init__(self) -> None:
        self.requests = RequestReader()
        self.responses = ResponseReader()
        self.left = b""
        """What the client had sent of another request when the server switched protocols."""

    def upgrade(self) -> None:
        """Note the server's 101: what the client sends from now on is no HTTP."""
        for event in self.requests.upgrade():
            if isinstance(event, Upgraded):
                self.left += event.remaining


class _Messages:
    """One direction: collects bodies that may be JSON, and judges them when they end."""

    __slots__ = (
        "_body",
        "_body_offset",
        "_exchange",
        "_headed",
        "_passing",
        "_place",
        "_seen",
        "_unread",
    )

    def __init__(self, place: Place, exchange: HttpExchange) -> None:
        self._place = place
        self._exchange = exchange
        self._seen = 0
        self._body = b""
        self._body_offset = 0
        self._passing = False  # this body is no JSON, or too long
        self._headed = False  # between a head and its message's end
        self._unread = b""  # of a head that has not ended

    @property
    def _deep(self) -> bool:
        return self._seen >= self._place.depth and not self._body

    def _read(self, reader: RequestReader | ResponseReader, data: bytes) -> bytes | None:
        """Feed the direction's reader; return what is left when HTTP has ended."""
        self._seen += len(data)
        left = self._take(reader.feed(data), data)
        if left is None and reader.held and not self._headed:
            self._unread = (self._unread + data)[-reader.held :]
            if line := _NO_FIELD.search(self._unread):
                left = self._unread[line.end() :]
        elif self._unread:
            self._unread = b""
        return left

    def _take(self, events: list[HttpEvent], data: bytes) -> bytes | None:
        """Handle events in order; return what is left when HTTP has ended."""
        for event in events:
            match event:
                case RequestHead() | ResponseHead():
                    if line := _NO_FIELD.search(event.raw):
                        behind = self._seen - event.offset - len(event.raw)
                        return event.raw[line.end() :] + data[len(data) - behind :]
                    self._place.context.app_proto = AppProto.HTTP
                    self._headed = True
                    if isinstance(event, RequestHead):
                        self._exchange.responses.expect(event.method)
                    elif event.status == 101:
                        self._exchange.upgrade()
                case MessageEnd():
                    self._headed = False
                    self._judge()
                case BodyData():
                    self._collect(event.data, event.offset)
                case Upgraded():
                    return event.remaining
                case Malformed():
                    return event.rest
        return None

    def _collect(self, data: bytes, offset: int) -> None:
        if self._passing:
            return
        if not self._body:
            text = data.lstrip(_BLANK)
            if not text:
                return
            self._body_offset = offset + len(data) - len(text)
            data = text
        self._body += data
        if self._body[0] not in b"{[" or len(self._body) > MAX_MESSAGE:
            self._body = b""
            self._passing = True

    def _judge(self) -> None:
        self._passing = False
        if not self._body:
            return
        body, self._body = self._body, b""
        context = self._place.context
        layers = (*self._place.layers, AppProto.HTTP.value)
        for message in read_objects(body):
            for match in context.pack.match_message(message):
                context.matched(match, self._place.direction, self._body_offset, body, layers)


class HttpRequests(_Messages):
    """The client's direction."""

    __slots__ = ()

    @property
    def settled(self) -> bool:
        """Whether a request is complete, or the depth was searched."""
        return not self.partial

    @property
    def partial(self) -> bool:
        """Whether a request has begun and not ended, within the depth."""
        exchange = self._exchange
        return (exchange.requests.partial and not self._deep) or bool(exchange.left)

    @property
    def held(self) -> int:
        """Bytes of the unfinished head or JSON body."""
        exchange = self._exchange
        return 2 * exchange.requests.held + len(exchange.left) + len(self._body)

    def receive(self, data: bytes, offset: int) -> bytes | None:  # noqa: ARG002 - the reader counts
        """Take more of the stream; hand back what is no request."""
        exchange = self._exchange
        left: bytes | None
        if exchange.requests.done:
            left, exchange.left = exchange.left + data, b""
        else:
            left = self._read(exchange.requests, data)
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
        return bool(self._body)

    @property
    def held(self) -> int:
        """Bytes of the unfinished head or JSON body."""
        return 2 * self._exchange.responses.held + len(self._body)

    def receive(self, data: bytes, offset: int) -> bytes | None:  # noqa: ARG002 - the reader counts
        """Take more of the stream; hand back what is no response."""
        left = self._read(self._exchange.responses, data)
        if left is not None:
            self._exchange.responses = ResponseReader()
        return left
