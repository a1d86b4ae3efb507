"""davylamp's inspection inside mitmproxy: one part for each kind of thing that mitmproxy shows.

The parts are thin. They turn a hook's subject into bytes with a direction, hand those to the
core's Inspector by way of the `Lamp` that they share, and leave the verdict to it.
"""

from collections.abc import Callable

from mitmproxy.hooks import all_hooks

from davylamp_mitm.behind import Behind
from davylamp_mitm.credit import give_credit
from davylamp_mitm.dns import DnsMessages
from davylamp_mitm.heads import bound_heads
from davylamp_mitm.hellos import read_hellos
from davylamp_mitm.http import HttpExchanges
from davylamp_mitm.lamp import Lamp
from davylamp_mitm.reading import measure_reading
from davylamp_mitm.redirected import Redirected
from davylamp_mitm.refusals import Refusals
from davylamp_mitm.tcp import TcpStreams
from davylamp_mitm.tls import TlsHandshakes
from davylamp_mitm.websocket import WebSockets

__all__ = ["hooks"]


def hooks() -> dict[str, Callable[..., object]]:
    """Return every hook that is taken, by its name.

    They are put into one addon, because mitmproxy asks each of its addons about each event: six
    more of them would cost more than what they do. No two parts take the same hook.
    """
    for have_mitmproxy in (read_hellos, bound_heads, measure_reading, give_credit):
        have_mitmproxy()
    lamp = Lamp()
    lamp.behind = Behind(lamp)
    parts = (
        lamp,
        Redirected(lamp),
        TlsHandshakes(lamp),
        Refusals(lamp),
        TcpStreams(lamp),
        HttpExchanges(lamp),
        WebSockets(lamp),
        DnsMessages(lamp),
    )
    return {
        name: getattr(part, name) for name in all_hooks for part in parts if hasattr(part, name)
    }
