"""TLS handshakes: what the ClientHello shows, and whether to open it."""

import time

from mitmproxy.tls import ClientHelloData

from davylamp.flow import Direction
from davylamp.inspection.finding import AppProto
from davylamp.inspection.inspector import Inspector
from davylamp_mitm.edge import guarded_async
from davylamp_mitm.lamp import Lamp, Sight


class TlsHandshakes:
    """Judges a ClientHello: cut off, passed on unopened, or opened."""

    def __init__(self, lamp: Lamp) -> None:
        self.lamp = lamp

    @guarded_async
    async def tls_clienthello(self, data: ClientHelloData) -> None:
        """Judge a hello before anything of it is sent on."""
        lamp, client, server = self.lamp, data.context.client, data.context.server
        watched = lamp.watched(client)
        try:
            record = data.client_hello.raw_bytes()
        except NotImplementedError:  # DTLS, which the core does not read
            return
        lamp.count(record)
        inspector = Inspector(lamp.settings().pack)
        found = inspector.receive(Direction.ORIGINATOR, record, time.time())
        watched.hello = inspector.hello or watched.hello
        sight = Sight(found, client, server, AppProto.TLS, watched.outer(client))
        verdict = lamp.judge(sight)
        if verdict is not None and verdict.blocks:
            lamp.stop(client, server, None, verdict.reason)
        elif inspector.hello is not None and await lamp.may_pass(
            client, server, inspector.hello.sni
        ):
            data.ignore_connection = True
