"""Raw TCP, in the clear and inside TLS, inside CONNECT and SOCKS, and after an HTTP 101."""

import time

from mitmproxy.tcp import TCPFlow
from mitmproxy.udp import UDPFlow

from davylamp.flow import Direction
from davylamp_mitm.edge import guarded
from davylamp_mitm.history import trim
from davylamp_mitm.lamp import Lamp, Sight, take_away
from davylamp_mitm.strand import ByteStrand


class TcpStreams:
    """Inspects what mitmproxy relays as raw TCP."""

    def __init__(self, lamp: Lamp) -> None:
        self.lamp = lamp

    @guarded
    def tcp_message(self, flow: TCPFlow) -> None:
        """Judge a piece before it is sent on."""
        trim(flow.messages)
        lamp, message = self.lamp, flow.messages[-1]
        client, watched = flow.client_conn, self.lamp.watched(flow.client_conn)
        if watched.stopped:
            message.content = b""
            return
        watched.spoken = True
        lamp.count(message.content)
        strand = lamp.connections.strand(flow.id)
        if not isinstance(strand, ByteStrand):
            strand = ByteStrand(lamp.assay(client, flow.server_conn))
        direction = Direction.ORIGINATOR if message.from_client else Direction.RESPONDER
        found = strand.receive(direction, message.content, time.time())
        lamp.connections.keep(client, flow.id, strand)
        if not found:
            return
        outer = watched.outer(client)
        verdict = lamp.judge(Sight(found, client, flow.server_conn, strand.app_proto, outer))
        if verdict is not None and verdict.blocks:
            take_away(flow)
            lamp.stop(client, flow.server_conn, flow, verdict.reason)

    @guarded
    def tcp_end(self, flow: TCPFlow) -> None:
        """Forget a flow that has ended."""
        self.lamp.connections.drop(flow.id)

    @guarded
    def tcp_error(self, flow: TCPFlow) -> None:
        """Forget a flow that broke off."""
        self.lamp.connections.drop(flow.id)

    @guarded
    def udp_message(self, flow: UDPFlow) -> None:
        """Bound the memory of a UDP flow; what is in it is not judged."""
        trim(flow.messages)
