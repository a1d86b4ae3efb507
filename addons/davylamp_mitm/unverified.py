"""Servers that nobody vouches for: their clients are heard out, but what they say goes nowhere.

Most pools sign for themselves. mitmproxy verifies servers, and for want of one would close, and
nobody would know what it was about; without verification our clients would trust what they never
would have. So where a server was refused, the client is answered all the same and its first bytes
are judged before anything of them is sent on. Nothing found: the connection ends, as the client
itself would have ended it. Found and to be blocked: stopped, with the evidence. Found, but policy
lets it pass (observe mode): then, and only then, the server is taken for what it is.
"""

import time

from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import NextLayer
from mitmproxy.proxy.layers import HttpLayer, ServerTLSLayer, TCPLayer
from mitmproxy.tls import TlsData
from OpenSSL import SSL

from davylamp.inspection.framing import MAX_MESSAGE
from davylamp_mitm.assay import heard
from davylamp_mitm.connections import Hearing, Watched
from davylamp_mitm.lamp import Lamp, Sight
from davylamp_mitm.strand import ByteStrand
from davylamp_mitm.upgrade import HeardUpgrade, granted


class UnverifiedServers:
    """Stands between a client's TLS and what comes next in it; `Behind` asks it."""

    def __init__(self, lamp: Lamp) -> None:
        self.lamp = lamp

    def next_layer(self, layer: NextLayer, *, refused: bool) -> None:
        """Judge what a client says to a server that is not there, before it is decided on."""
        context, data = layer.context, layer.data_client()
        client = context.client
        watched = self.lamp.watched(client)
        watched.spoken = watched.spoken or bool(data) or bool(layer.data_server())
        if not (refused and data):
            return
        if watched.stopped:
            layer.layer = None
        elif isinstance(layer.layer, TCPLayer):
            self._hear_out(layer, watched, data)
        elif isinstance(layer.layer, HttpLayer) and client.alpn != b"h2":
            answer = granted(data)  # other requests are judged before a server is looked for
            if answer is None:
                layer.layer = None  # asked again when there is more
            elif answer:
                layer.layer = HeardUpgrade(layer, self.lamp, answer)

    def _hear_out(self, layer: NextLayer, watched: Watched, data: bytes) -> None:
        context = layer.context
        client, server = context.client, context.server
        hearing = watched.hearing
        if hearing is None or hearing.asked is not layer:
            hearing = Hearing(layer, ByteStrand(self.lamp.assay(client, server)))
            watched.hearing = hearing
        strand, found = hearing.strand, hearing.more(data, time.time())
        if not heard(found) and strand.partial and len(data) <= MAX_MESSAGE:
            layer.layer = None  # asked again when there is more
            return
        watched.hearing = None
        self.lamp.count(data)
        outer = watched.outer(client)
        verdict = self.lamp.judge(Sight(found, client, server, strand.app_proto, outer))
        if verdict is not None and not verdict.blocks and heard(found):
            watched.judged = True
            _try_again(context)
            return
        layer.layer = None
        reason = verdict.reason if verdict is not None and verdict.blocks else ""
        self.lamp.stats.unverified += not reason
        self.lamp.stop(client, server, None, reason)

    def tls_start_server(self, data: TlsData) -> None:
        """Have a server taken for what it is where its client was judged, and let be."""
        if data.ssl_conn is not None and self.lamp.watched(data.context.client).judged:
            data.ssl_conn.set_verify(SSL.VERIFY_NONE)


def _try_again(context: Context) -> None:
    """Have a server connected to that was left: mitmproxy does so with one it never tried."""
    server = context.server
    server.error = server.timestamp_start = server.sockname = None
    for layer in context.layers:
        if isinstance(layer, ServerTLSLayer) and layer.conn is server:
            layer.tls = None  # type: ignore[assignment]  # what it is before a handshake
