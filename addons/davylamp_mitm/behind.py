"""What has its say after mitmproxy's own addons have chosen a layer, or made a TLS context.

A script's hooks come before theirs, where there is nothing yet to look at or to change.
"""

from mitmproxy.connection import ConnectionState
from mitmproxy.proxy.layer import NextLayer
from mitmproxy.tls import TlsData

from davylamp_mitm.edge import guarded
from davylamp_mitm.hellos import ask_again, beyond_opening
from davylamp_mitm.lamp import Lamp
from davylamp_mitm.tunnel import Tunnel, foreign_connect
from davylamp_mitm.unverified import UnverifiedServers

_MAX_LAYERS = 12
"""So deep in tunnels nobody is who means well; mitmproxy refuses the next."""


class Behind:
    """One addon, for the reason that there is one in front: each costs with every event."""

    def __init__(self, lamp: Lamp) -> None:
        self.lamp = lamp
        self._unverified = UnverifiedServers(lamp)

    @guarded
    def next_layer(self, layer: NextLayer) -> None:
        """Relay what is meant for another proxy; hear clients of servers that were refused.

        Raises ValueError where TLS begins that would pass unopened.
        """
        context = layer.context
        if (beyond := beyond_opening(layer)) is None:
            ask_again(layer)
            return
        if beyond:
            raise ValueError("TLS begins as no client begins it, and cannot be opened")
        refused = bool(context.server.error) and context.server.state is ConnectionState.CLOSED
        if not refused and len(self.lamp.watched(context.client).around) < _MAX_LAYERS:
            foreign = foreign_connect(layer)
            if foreign is None:
                ask_again(layer)
            elif foreign:
                layer.layer = Tunnel(layer, self.lamp)
        if context.client.tls_established:
            self._unverified.next_layer(layer, refused=refused)

    def tls_start_server(self, data: TlsData) -> None:
        """Have a server taken for what it is where its client was judged, and let be."""
        self._unverified.tls_start_server(data)
