"""DNS messages, where mitmproxy is asked for names (its dns, transparent and WireGuard modes)."""

from mitmproxy.dns import DNSFlow, DNSMessage

from davylamp.flow import Direction
from davylamp.inspection.finding import AppProto
from davylamp.inspection.inspector import inspect_datagram
from davylamp_mitm.edge import guarded
from davylamp_mitm.lamp import Lamp, Sight, take_away


class DnsMessages:
    """Judges questions and answers; what policy blocks is answered with REFUSED."""

    def __init__(self, lamp: Lamp) -> None:
        self.lamp = lamp

    @guarded
    def dns_request(self, flow: DNSFlow) -> None:
        """Judge a question before it is asked."""
        self._judge(flow, Direction.ORIGINATOR, flow.request)

    @guarded
    def dns_response(self, flow: DNSFlow) -> None:
        """Judge an answer before it is given."""
        if flow.response is not None:
            self._judge(flow, Direction.RESPONDER, flow.response)

    def _judge(self, flow: DNSFlow, direction: Direction, message: DNSMessage) -> None:
        lamp, packed = self.lamp, message.packed
        lamp.count(packed)
        found, _ = inspect_datagram(lamp.settings().pack, direction, packed)
        outer = (flow.client_conn.transport_protocol,)
        sight = Sight(found, flow.client_conn, flow.server_conn, AppProto.DNS, outer)
        verdict = lamp.judge(sight)
        if verdict is not None and verdict.blocks:
            take_away(flow)
