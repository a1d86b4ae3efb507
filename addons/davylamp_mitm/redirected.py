"""What was not sent here by a redirect: it has no destination but ourselves."""

from mitmproxy.proxy.mode_specs import TransparentMode
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from davylamp_mitm.edge import guarded
from davylamp_mitm.endpoints import address_and_port
from davylamp_mitm.lamp import Lamp
from davylamp_mitm.stopping import arrived_at


class Redirected:
    """Refuses what would have mitmproxy connect to itself, and again, until nothing is left."""

    def __init__(self, lamp: Lamp) -> None:
        self.lamp = lamp

    @guarded
    def server_connect(self, data: ServerConnectionHookData) -> None:
        """Look at where a connection is about to be made to."""
        if not isinstance(data.client.proxy_mode, TransparentMode):
            return
        if address_and_port(arrived_at(data.client)) == address_and_port(data.server.address):
            data.server.error = "davylamp: nobody redirected this connection"
            self.lamp.stats.strays += 1
