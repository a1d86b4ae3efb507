"""davylamp's inspection inside mitmproxy: one addon for each kind of thing that mitmproxy shows.

The addons are thin. They turn a hook's subject into bytes with a direction, hand those to the
core's Inspector by way of the `Lamp` that they share, and leave the verdict to it.
"""

from davylamp_mitm.dns import DnsMessages
from davylamp_mitm.http import HttpExchanges
from davylamp_mitm.lamp import Lamp
from davylamp_mitm.tcp import TcpStreams
from davylamp_mitm.tls import TlsHandshakes
from davylamp_mitm.websocket import WebSockets

__all__ = ["compose"]


def compose() -> list[object]:
    """Return the addons, in the order in which mitmproxy is to call them."""
    lamp = Lamp()
    return [
        lamp,
        TlsHandshakes(lamp),
        TcpStreams(lamp),
        HttpExchanges(lamp),
        WebSockets(lamp),
        DnsMessages(lamp),
    ]
