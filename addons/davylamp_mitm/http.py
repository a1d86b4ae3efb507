"""HTTP requests and responses of every version, their bodies also while they stream.

mitmproxy keeps a body whole until it has all of it, which is fine for small ones. Bodies that are
large or of unknown length are passed on piece by piece instead, each judged on its way: memory
stays flat, and a stream of events arrives when it is sent.
"""

import time

from mitmproxy.http import HTTPFlow, Message

from davylamp.flow import Direction
from davylamp.inspection.finding import AppProto, Finding
from davylamp.inspection.framing import MAX_MESSAGE
from davylamp_mitm.bodylength import body_length
from davylamp_mitm.edge import guarded
from davylamp_mitm.exchange import Exchange
from davylamp_mitm.httptext import request_head, response_head
from davylamp_mitm.lamp import Lamp, Sight
from davylamp_mitm.plain import is_plain
from davylamp_mitm.tap import Tap

MAX_KEPT_BODY = MAX_MESSAGE
"""Bytes up to which a body of known length is left to mitmproxy to collect."""


class HttpExchanges:
    """Inspects requests and responses."""

    def __init__(self, lamp: Lamp) -> None:
        self.lamp = lamp

    @guarded
    def http_connect(self, flow: HTTPFlow) -> None:
        """Judge what a client asks to be connected to."""
        if self._refused(flow):
            return
        exchange = Exchange(self.lamp.assay(flow.client_conn, flow.server_conn))
        found = exchange.feed(Direction.ORIGINATOR, request_head(flow.request, 0), time.time())
        if found:
            self.conclude(flow, found)

    @guarded
    def requestheaders(self, flow: HTTPFlow) -> None:
        """Judge a request's head; have a body stream that is not to be kept."""
        if self._refused(flow):
            return
        length = body_length(flow, Direction.ORIGINATOR)
        if flow.response is None and _must_stream(flow.request, length):
            self._begin(flow, Direction.ORIGINATOR, length)

    @guarded
    def request(self, flow: HTTPFlow) -> None:
        """Judge a request that was kept whole, before any of it is sent on."""
        if not self._refused(flow):
            self._whole(flow, Direction.ORIGINATOR, flow.request)

    @guarded
    def responseheaders(self, flow: HTTPFlow) -> None:
        """Judge a response's head; have a body stream that is not to be kept."""
        assert flow.response is not None
        if self._refused(flow):
            return
        length = body_length(flow, Direction.RESPONDER)
        if flow.response.status_code != 101 and _must_stream(flow.response, length):
            self._begin(flow, Direction.RESPONDER, length)

    @guarded
    def response(self, flow: HTTPFlow) -> None:
        """Judge a response that was kept whole, before any of it is sent on."""
        assert flow.response is not None
        if self._refused(flow):
            return
        if flow.response.status_code == 101:
            if flow.websocket is None:
                self.lamp.watched(flow.client_conn).enter(flow.client_conn, "http")
        else:
            self._whole(flow, Direction.RESPONDER, flow.response)
        self.lamp.connections.drop(flow.id)

    @guarded
    def error(self, flow: HTTPFlow) -> None:
        """Judge what had come of a body when its flow broke off, and forget it."""
        exchange = self.lamp.connections.strand(flow.id)
        if isinstance(exchange, Exchange) and not self._refused(flow):
            for body in exchange.bodies.values():
                self.conclude(flow, body.end(time.time()))
        self.lamp.connections.drop(flow.id)

    def _refused(self, flow: HTTPFlow) -> bool:
        """Tell whether the flow's client was cut off before, and make sure of it."""
        stopped = self.lamp.watched(flow.client_conn).stopped
        if stopped and flow.killable:
            flow.kill()
        return stopped

    def _whole(self, flow: HTTPFlow, direction: Direction, message: Message) -> None:
        lamp = self.lamp
        content = message.raw_content or b""
        known = lamp.connections.strand(flow.id)
        if isinstance(known, Exchange) and direction in known.bodies:  # it was streamed
            return
        lamp.count(content)
        assay = lamp.assay(flow.client_conn, flow.server_conn)
        if known is None and assay.bare and is_plain(assay.pack, message, content):
            return
        exchange = known if isinstance(known, Exchange) else Exchange(assay)
        if known is None and direction is Direction.RESPONDER and not flow.request.stream:
            asked = flow.request.raw_content or b""  # plain, but what is answered is read with it
            text = request_head(flow.request, len(asked)) + asked
            exchange.feed(Direction.ORIGINATOR, text, time.time())
        text = _head(flow, direction, len(content)) + content
        found = exchange.feed(direction, text, time.time())
        if direction is Direction.ORIGINATOR:  # its response is read knowing what it answers
            self._kept(flow, exchange)
        if found:
            self.conclude(flow, found)

    def _begin(self, flow: HTTPFlow, direction: Direction, length: int | None) -> None:
        """Judge a head whose body will stream, and put ourselves into the stream."""
        exchange = self._exchange(flow)
        message = flow.request if direction is Direction.ORIGINATOR else flow.response
        assert message is not None
        if callable(message.stream):  # another addon changes the body: what it makes is what counts
            length = None
        found = exchange.begin(direction, _head(flow, direction, None), length, time.time())
        self._kept(flow, exchange)
        if not self.conclude(flow, found):
            body = exchange.bodies[direction]
            message.stream = Tap(self.lamp, self.conclude, flow, message, body)

    def _exchange(self, flow: HTTPFlow) -> Exchange:
        known = self.lamp.connections.strand(flow.id)
        if isinstance(known, Exchange):
            return known
        return Exchange(self.lamp.assay(flow.client_conn, flow.server_conn))

    def _kept(self, flow: HTTPFlow, exchange: Exchange) -> None:
        self.lamp.connections.keep(flow.client_conn, flow.id, exchange)

    def conclude(self, flow: HTTPFlow, found: tuple[Finding, ...]) -> bool:
        """Report what was found and carry out the verdict; tell whether the flow was stopped."""
        lamp, client = self.lamp, flow.client_conn
        outer = lamp.watched(client).outer(client, tunnelled=False)
        verdict = lamp.judge(Sight(found, client, flow.server_conn, AppProto.HTTP, outer))
        if verdict is None or not verdict.blocks:
            return False
        lamp.stop(client, flow.server_conn, flow, verdict.reason)
        return True


def _head(flow: HTTPFlow, direction: Direction, length: int | None) -> bytes:
    if direction is Direction.ORIGINATOR:
        return request_head(flow.request, length)
    assert flow.response is not None
    return response_head(flow.response, length)


def _must_stream(message: Message, length: int | None) -> bool:
    return bool(message.stream) or length is None or length > MAX_KEPT_BODY
