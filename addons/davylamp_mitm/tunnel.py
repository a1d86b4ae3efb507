"""A CONNECT that is meant for somebody else's proxy, and what is said in the tunnel it makes.

Where mitmproxy is no proxy that its clients know of, it refuses CONNECT. An honest client of a
proxy outside would be broken by that, so the request and its answer are relayed as they are, and
what follows is looked at like a new connection: TLS in the tunnel is opened, raw TCP is judged.
"""

import time

from mitmproxy.connection import ConnectionState
from mitmproxy.proxy.commands import CloseConnection, OpenConnection, SendData
from mitmproxy.proxy.events import ConnectionClosed, DataReceived, Event, Start
from mitmproxy.proxy.layer import CommandGenerator, Layer, NextLayer
from mitmproxy.proxy.layers import HttpLayer, TCPLayer
from mitmproxy.proxy.layers.http import HTTPMode

from davylamp.flow import Direction
from davylamp.inspection.finding import AppProto
from davylamp_mitm.lamp import Lamp, Sight
from davylamp_mitm.strand import ByteStrand

_BEGIN = b"CONNECT "
_END = b"\r\n\r\n"
_MAX_HEAD = 32 * 1024
MAX_EARLY = 64 * 1024
"""Bytes that a client may say behind its request, before it has an answer."""


def foreign_connect(layer: NextLayer) -> bool | None:
    """Tell whether a client asks a proxy that we are not for a tunnel; None while that is open."""
    chosen, data = layer.layer, layer.data_client()
    if not isinstance(chosen, HttpLayer | TCPLayer) or layer.context.client.alpn == b"h2":
        return False
    if isinstance(chosen, HttpLayer) and chosen.mode is not HTTPMode.transparent:
        return False
    if isinstance(chosen, TCPLayer) and chosen.flow is None:  # somebody wants it ignored
        return False
    if data.startswith(_BEGIN):
        return True
    return None if data and _BEGIN.startswith(data) else False


class Tunnel(Layer):
    """Relays one CONNECT and its answer, and again where the answer was no.

    Nothing of what is said in the tunnel passes before the layer is chosen that shows it to the
    addons: what a client says too early waits for the answer.
    """

    def __init__(self, asked: NextLayer, lamp: Lamp) -> None:
        super().__init__(asked.context)
        self._subject = asked
        self._lamp = lamp
        self._strand = ByteStrand(lamp.assay(asked.context.client, asked.context.server))
        self._said = bytearray()
        self._answered = bytearray()
        self._asked = False
        self.child_layer: Layer | None = None

    def _handle_event(self, event: Event) -> CommandGenerator[None]:
        client, server = self.context.client, self.context.server
        match event:
            case _ if self.child_layer is not None:
                yield from self.child_layer.handle_event(event)
            case DataReceived() if self._lamp.watched(client).stopped:
                pass
            case Start():
                if server.state is ConnectionState.CLOSED and (yield OpenConnection(server)):
                    yield CloseConnection(client)
            case DataReceived() if event.connection is client:
                self._said += event.data
                yield from self._ask()
            case DataReceived():
                yield from self._answer(event.data)
            case ConnectionClosed():
                yield from self._close()
            case _:
                pass

    def _ask(self) -> CommandGenerator[None]:
        """Send a request on once its head is there; the next waits for this one's answer."""
        if self._asked or _END not in self._said:
            if len(self._said) > (MAX_EARLY if self._asked else _MAX_HEAD):
                yield from self._close()
            return
        if not self._said.startswith(_BEGIN):
            yield from self._become(TCPLayer(self.context))
            return
        head, _, rest = bytes(self._said).partition(_END)
        head += _END
        if self._stops(Direction.ORIGINATOR, head):
            return
        self._said = bytearray(rest)
        self._asked = True
        yield SendData(self.context.server, head)

    def _answer(self, data: bytes) -> CommandGenerator[None]:
        """Send an answer on; what follows a yes is the tunnel, what follows a no is its text."""
        if not self._asked:
            yield from self._tell(data)
            return
        self._answered += data
        while self._asked:  # a server may put thousands of interim answers (1xx) into one segment
            size = self._answered.find(_END) + len(_END)
            if size < len(_END):
                if len(self._answered) > _MAX_HEAD:
                    yield from self._close()
                return
            head = bytes(self._answered[:size])
            del self._answered[:size]
            if self._stops(Direction.RESPONDER, head):
                return
            yield SendData(self.context.client, head)
            match head.split(b" ", 2)[1:2]:
                case [status] if status.startswith(b"1"):
                    pass
                case [status] if status.startswith(b"2"):
                    yield from self._enter(self._rest())
                    return
                case _:
                    self._asked = False
        yield from self._tell(self._rest())
        yield from self._ask()

    def _rest(self) -> bytes:
        """Take what has come behind an answer."""
        rest = bytes(self._answered)
        self._answered.clear()
        return rest

    def _tell(self, data: bytes) -> CommandGenerator[None]:
        """Send on what a server says that is no answer."""
        if data and not self._stops(Direction.RESPONDER, data):
            yield SendData(self.context.client, data)

    def _enter(self, rest: bytes) -> CommandGenerator[None]:
        """Have mitmproxy look at the tunnel as at a connection that was just made."""
        client, server = self.context.client, self.context.server
        self._lamp.watched(client).enter(client, "http")
        # What is known of TLS is that around the tunnel; mitmproxy does the same for a client's.
        server.timestamp_tls_setup = server.sni = server.alpn = server.tls_version = None
        server.certificate_list, server.alpn_offers, server.tls = [], [], False
        yield from self._become(NextLayer(self.context))
        if rest and self.child_layer is not None:
            yield from self.child_layer.handle_event(DataReceived(server, rest))

    def _become(self, inner: Layer) -> CommandGenerator[None]:
        self.child_layer = inner
        yield from inner.handle_event(Start())
        if self._said:
            said = bytes(self._said)
            self._said.clear()
            yield from inner.handle_event(DataReceived(self.context.client, said))

    def _stops(self, direction: Direction, data: bytes) -> bool:
        """Judge what is said before there is a tunnel: whom it is for, and what a no goes on to."""
        lamp, client, server = self._lamp, self.context.client, self.context.server
        try:
            lamp.count(data)
            found = self._strand.receive(direction, data, time.time())
            outer = lamp.watched(client).outer(client)
            verdict = lamp.judge(Sight(found, client, server, AppProto.HTTP, outer))
        except Exception as error:  # noqa: BLE001 - as at the edge of a hook
            lamp.failed("a tunnel", self._subject, error)
            return lamp.watched(client).stopped
        if verdict is None or not verdict.blocks:
            return False
        lamp.stop(client, server, None, verdict.reason)
        return True

    def _close(self) -> CommandGenerator[None]:
        for peer in (self.context.server, self.context.client):
            if peer.state is not ConnectionState.CLOSED:
                yield CloseConnection(peer)
