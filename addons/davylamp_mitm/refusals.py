"""Clients that will not have our certificate: counted, told, and found out where they are miners.

A client refuses by an alert (RFC 8446 section 6.2), by leaving when it has seen the certificate,
or, where it compares a fingerprint of its own once the handshake is over, by leaving without a word
after Finished. Most that refuse only lack our authority. One that asks for no name, offers no
protocol and goes to a bare address is a miner with a pinned pool: nothing else is made like that.
"""

import re
import time

from mitmproxy.connection import Client, ConnectionState, Server
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.tls import TlsData

from davylamp.flow import Direction
from davylamp.inspection.finding import AppProto, Finding
from davylamp_mitm.connections import Watched
from davylamp_mitm.endpoints import server_name
from davylamp_mitm.lamp import Lamp, Sight

_EVENT = "tls.pinned-client"
_ALERTS = frozenset(
    ("access denied", "bad certificate", "certificate expired", "certificate revoked")
) | {"certificate unknown", "decrypt error", "unknown ca", "unsupported certificate"}
_ALERT = re.compile(r"alert ([a-z ]+)")
_LEFT = "disconnected during the handshake"  # mitmproxy's words, for want of anything better
_AT_ONCE_SECONDS = 5.0
"""Within this time after Finished somebody leaves because of what he saw."""


class Refusals:
    """Watches how TLS with a client begins, and how it ends."""

    def __init__(self, lamp: Lamp) -> None:
        self.lamp = lamp

    def tls_established_client(self, data: TlsData) -> None:
        """Remember that a client took the certificate, as far as the handshake tells."""
        watched = self.lamp.watched(data.context.client)
        watched.opened = time.time()
        watched.spoken = False
        watched.server = data.context.server

    def tls_failed_client(self, data: TlsData) -> None:
        """Tell a client that would not have our certificate from one that cannot do TLS."""
        client = data.context.client
        watched = self.lamp.watched(client)
        how = _refusal(data.conn.error or "")
        if how and not watched.stopped:
            self._refused(client, data.context.server, watched, how)

    def server_disconnected(self, data: ServerConnectionHookData) -> None:
        """Remember where it was not the client who left first."""
        if data.client.state & ConnectionState.CAN_READ:
            self.lamp.watched(data.client).spoken = True

    def client_disconnected(self, client: Client) -> None:
        """Look at how a connection ended, and forget it."""
        lamp = self.lamp
        watched = lamp.connections.known(client)
        if watched is not None and _left_without_a_word(watched, time.time()):
            self._refused(client, watched.server, watched, "closed after Finished")
        lamp.connections.forget(client)

    def _refused(self, client: Client, server: Server | None, watched: Watched, how: str) -> None:
        lamp = self.lamp
        lamp.stats.refusals += 1
        lamp.tell_refusal(client, server, watched, how)
        hello = watched.hello
        if hello is None or hello.sni or hello.alpn or server_name(server):
            return
        assay = lamp.assay(client, server)
        if assay.trial is not None:
            assay.trial.noticed(_EVENT, assay.pack)
        signature = assay.pack.match_event(_EVENT)
        if signature is None:
            return
        finding = Finding(
            signature=signature,
            confidence=signature.confidence,
            direction=Direction.ORIGINATOR,
            offset=0,
            end=0,
            excerpt=how.encode(),
            layers=("tcp", "tls"),
            detail=f"{signature.detail}: {how}",
        )
        outer = watched.outer(client)
        if outer[-1] == "tls":  # established, but it is what stands around it that counts
            outer = outer[:-1]
        lamp.judge(Sight((finding,), client, server, AppProto.TLS, outer))


def _left_without_a_word(watched: Watched, now: float) -> bool:
    soon = 0 <= now - watched.opened <= _AT_ONCE_SECONDS
    return soon and not watched.spoken and not watched.stopped


def _refusal(error: str) -> str:
    """Return how a client refused, from mitmproxy's words on a failed handshake, or nothing."""
    if _LEFT in error or error == "connection closed":
        return "closed during the handshake"
    found = _ALERT.search(error)
    words = found[1].strip() if found else ""
    return f"alert {words.replace(' ', '_')}" if words in _ALERTS else ""
