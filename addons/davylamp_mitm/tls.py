"""TLS handshakes: what ClientHello and certificate show, and whether to open what follows."""

import time

from mitmproxy.connection import Server
from mitmproxy.tls import ClientHelloData, TlsData
from OpenSSL import crypto

from davylamp.flow import Direction
from davylamp.inspection.finding import AppProto
from davylamp_mitm.edge import guarded, guarded_async
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
        assay = lamp.assay(client, server)
        inspector = assay.inspector()
        found = inspector.receive(Direction.ORIGINATOR, record, time.time())
        watched.greet(inspector.hello, assay.packs)
        sight = Sight(found, client, server, AppProto.TLS, watched.outer(client))
        verdict = lamp.judge(sight)
        if verdict is not None and verdict.blocks:
            lamp.stop(client, server, None, verdict.reason)
        elif inspector.hello is not None and await lamp.may_pass(
            client, server, inspector.hello.sni
        ):
            data.ignore_connection = True

    @guarded
    def tls_established_server(self, data: TlsData) -> None:
        """Judge a server's certificate before anything of its client's is sent on."""
        self._certified(data)

    @guarded
    def tls_failed_server(self, data: TlsData) -> None:
        """Judge the same of a server that nobody vouches for: most pools sign for themselves."""
        self._certified(data)

    def _certified(self, data: TlsData) -> None:
        lamp, client, server = self.lamp, data.context.client, data.conn
        if data.ssl_conn is None or not isinstance(server, Server) or not lamp.asks_certificates:
            return
        chain = data.ssl_conn.get_peer_cert_chain()
        if not chain:
            return
        watched = lamp.watched(client)
        watched.show(server, crypto.dump_certificate(crypto.FILETYPE_ASN1, chain[0]))
        outer = watched.outer(client)
        if outer[-1] == "tls":  # the finding says that it was in TLS
            outer = outer[:-1]
        found = lamp.assay(client, server).certified()
        verdict = lamp.judge(Sight(found, client, server, AppProto.TLS, outer))
        if verdict is not None and verdict.blocks:
            lamp.stop(client, server, None, verdict.reason)
