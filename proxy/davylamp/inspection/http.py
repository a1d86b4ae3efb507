"""HTTP/1: requests and responses, and the JSON-RPC that may be their bodies.

A body is judged as one JSON value, never line by line: documents, logs and prompts that quote
Stratum travel in bodies all day. A request that is complete settles the flow; what follows on the
same connection comes back here if it begins like a message (docs/kernel.md, triggers). Bytes that
are no HTTP message any more, on either side, are handed back to be read as what they are.
"""

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


class HttpExchange:
    """What both directions share: a response is read knowing which request it answers."""

    __slots__ = ("requests", "responses")

    def __init__(self) -> None:
        self.requests = RequestReader()
        self.responses = ResponseReader()


class _Messages:
    """One direction: collects bodies that may be JSON, and judges them when they end."""

    __slots__ = ("_body", "_body_offset", "_exchange", "_place", "_seen")

    def __init__(self, place: Place, exchange: HttpExchange) -> None:
        self._place = place
        self._exchange = exchange
        self._seen = 0
        self._body = b""
        self._body_offset = 0

    @property
    def _deep(self) -> bool:
        return self._seen >= self._place.depth and not self._body

    def _take(self, events: list[HttpEvent]) -> bytes | None:
        """Handle events in order; return what is left when HTTP has ended."""
        for event in events:
            match event:
                case BodyData(data, offset):
                    self._collect(data, offset)
                case MessageEnd():
                    self._judge()
                case Upgraded(remaining) | Malformed(rest=remaining):
                    return remaining
                case RequestHead(method=method):
                    self._place.context.app_proto = AppProto.HTTP
                    self._exchange.responses.expect(method)
                case ResponseHead(status=101):
                    self._exchange.requests.upgrade()
                case ResponseHead():
                    pass
        return None

    def _collect(self, data: bytes, offset: int) -> None:
        if not self._body:
            data = data.lstrip(_BLANK)
            if data[:1] not in (b"{", b"["):
                return
            self._body_offset = offset
        self._body += data
        if len(self._body) > MAX_MESSAGE:
            self._body = b""

    def _judge(self) -> None:
        body, self._body = self._body, b""
        if not body:
            return
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
        return self._exchange.requests.partial and not self._deep

    @property
    def held(self) -> int:
        """Bytes of the unfinished head or JSON body."""
        return self._exchange.requests.held + len(self._body)

    def receive(self, data: bytes, offset: int) -> bytes | None:  # noqa: ARG002 - the reader counts
        """Take more of the stream; hand back what is no request."""
        self._seen += len(data)
        return self._take(self._exchange.requests.feed(data))


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
        return self._exchange.responses.held + len(self._body)

    def receive(self, data: bytes, offset: int) -> bytes | None:  # noqa: ARG002 - the reader counts
        """Take more of the stream; hand back what is no response."""
        self._seen += len(data)
        return self._take(self._exchange.responses.feed(data))
