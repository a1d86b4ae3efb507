"""WebSocket messages, whatever they are inside of."""

import time

from mitmproxy.http import HTTPFlow

from davylamp.flow import Direction
from davylamp.inspection.finding import AppProto
from davylamp_mitm.edge import guarded
from davylamp_mitm.gathered import bound_messages
from davylamp_mitm.history import trim
from davylamp_mitm.lamp import Lamp, Sight, take_away
from davylamp_mitm.strand import MessageStrand


class WebSockets:
    """Inspects each WebSocket message as a whole, fragments joined and inflated by mitmproxy."""

    def __init__(self, lamp: Lamp) -> None:
        self.lamp = lamp
        bound_messages()

    @guarded
    def websocket_message(self, flow: HTTPFlow) -> None:
        """Judge a message before it is sent on."""
        assert flow.websocket is not None
        trim(flow.websocket.messages)
        lamp, message = self.lamp, flow.websocket.messages[-1]
        client = flow.client_conn
        if lamp.watched(client).stopped:
            message.drop()
            return
        lamp.count(message.content)
        strand = lamp.connections.strand(flow.id)
        if not isinstance(strand, MessageStrand):
            strand = MessageStrand(lamp.assay(client, flow.server_conn))
        direction = Direction.ORIGINATOR if message.from_client else Direction.RESPONDER
        found = strand.receive(direction, message.content, time.time())
        lamp.connections.keep(client, flow.id, strand)
        if not found:
            return
        around = lamp.watched(client).outer(client, tunnelled=False)
        outer = (*around, "http", "websocket")
        app_proto = strand.app_proto or AppProto.HTTP
        verdict = lamp.judge(Sight(found, client, flow.server_conn, app_proto, outer))
        if verdict is not None and verdict.blocks:
            take_away(flow)
            lamp.stop(client, flow.server_conn, flow, verdict.reason)

    @guarded
    def websocket_end(self, flow: HTTPFlow) -> None:
        """Forget a connection that has ended."""
        self.lamp.connections.drop(flow.id)
