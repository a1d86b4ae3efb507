"""HTTP/2 through mitmproxy's own layer: nobody may send far ahead of what goes on."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any, cast

import h2.events
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from mitmproxy.connection import Client, Connection, ConnectionState, Server
from mitmproxy.options import Options
from mitmproxy.proxy.commands import RequestWakeup, SendData, StartHook
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.events import DataReceived, Event, HookCompleted, Start, Wakeup
from mitmproxy.proxy.layers.http import HttpLayer, HTTPMode

from davylamp_mitm.credit import FROM_CLIENTS, FROM_SERVERS, MAX_WAITING, give_credit

_ASKED = [(":method", "POST"), (":scheme", "https"), (":authority", "x"), (":path", "/")]
_ANSWERED = [(":status", "200")]
_OPTIONS = {
    "validate_inbound_headers": True,
    "normalize_outbound_headers": True,
    "store_streamed_bodies": False,
    "http2_ping_keepalive": 0,
    "body_size_limit": "",
    "stream_large_bodies": "",
}
_PIECE = bytes(range(256)) * 64


@dataclass
class Peer:
    """One end: what it received, which it gives room for again only if it ``reads``."""

    connection: Connection
    h2: H2Connection
    reads: bool = True
    received: dict[int, bytearray] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    unread: list[tuple[int, int]] = field(default_factory=list)

    def take(self, data: bytes) -> None:
        """Take what came."""
        for event in self.h2.receive_data(data):
            match event:
                case h2.events.RequestReceived():
                    self.received[event.stream_id] = bytearray()
                case h2.events.ResponseReceived():
                    self.received[event.stream_id] = bytearray()
                case h2.events.DataReceived():
                    self.received[event.stream_id] += event.data
                    self.unread.append((event.flow_controlled_length, event.stream_id))
                case h2.events.StreamEnded():
                    self.ended.add(event.stream_id)
                case _:
                    pass
        if self.reads:
            self.read()

    def read(self) -> None:
        """Give room for what came."""
        self.reads = True
        for size, stream in self.unread:
            self.h2.acknowledge_received_data(size, stream)
        self.unread.clear()

    def send(self, stream: int, size: int, piece: bytes = _PIECE) -> int:
        """Send as much of so many bytes as there is room for; return that."""
        sent = 0
        while sent < size:
            room = self.h2.local_flow_control_window(stream)
            if len(piece) > room:
                break
            self.h2.send_data(stream, piece)
            sent += len(piece)
        return sent


class Between:
    """A client, a server, and the layer between them, without a network."""

    def __init__(self) -> None:
        give_credit()
        client = Client(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2), timestamp_start=0.0)
        server = Server(address=("127.0.0.1", 443))
        client.state = server.state = ConnectionState.OPEN
        client.alpn = server.alpn = b"h2"
        options = Options()
        for name, value in _OPTIONS.items():
            options.add_option(name, type(value), value, "")
        context = Context(client, options)
        context.server = server
        self.client = Peer(client, H2Connection(H2Configuration(client_side=True)))
        self.server = Peer(server, H2Connection(H2Configuration(client_side=False)))
        self.layer = HttpLayer(context, HTTPMode.transparent)
        self.clocks: deque[RequestWakeup] = deque()
        for peer in (self.client, self.server):
            peer.h2.initiate_connection()
        self._happen(Start())
        self.run()

    def run(self) -> None:
        """Have everything happen that can, clocks included."""
        quiet = 0
        while quiet < 2:
            quiet += 1
            for peer in (self.client, self.server):
                if data := peer.h2.data_to_send():
                    quiet = 0
                    self._happen(DataReceived(peer.connection, data))
            for _ in range(len(self.clocks)):
                self._happen(Wakeup(self.clocks.popleft()))

    def ask(self) -> int:
        """Begin a request, and its answer; return its stream."""
        stream = self.client.h2.get_next_available_stream_id()
        self.client.h2.send_headers(stream, _ASKED)
        self.run()
        self.server.h2.send_headers(stream, _ANSWERED)
        self.run()
        return stream

    def _happen(self, event: Event) -> None:
        for command in self.layer.handle_event(event):
            match command:
                case StartHook():
                    flow = cast("Any", command).args()[0]
                    if command.name == "requestheaders":
                        flow.request.stream = True
                    if command.name == "responseheaders":
                        flow.response.stream = True
                    self._happen(HookCompleted(cast("Any", command), None))
                case SendData():
                    self._peer(command.connection).take(command.data)
                case RequestWakeup():
                    self.clocks.append(command)
                case _:
                    pass

    def _peer(self, connection: Connection) -> Peer:
        return self.client if connection is self.client.connection else self.server


def send_all(between: Between, sender: Peer, stream: int, size: int, piece: bytes = _PIECE) -> int:
    """Send until there is no more room; return how much that was."""
    sent = 0
    while more := sender.send(stream, size - sent, piece):
        sent += more
        between.run()
    return sent


@pytest.mark.parametrize("upload", [True, False])
def test_who_is_not_read_cannot_send_far_ahead(*, upload: bool) -> None:
    """It has its window and no more; when it is read all of it comes, as it was sent."""
    between = Between()
    sender, reader = between.client, between.server
    window = FROM_CLIENTS[0]
    if not upload:
        sender, reader, window = reader, sender, FROM_SERVERS[0]
    reader.reads = False
    stream, size = between.ask(), 4 * window
    if not upload:
        between.client.h2.end_stream(stream)
    sent = send_all(between, sender, stream, size)
    assert sent <= window + 2 * MAX_WAITING
    reader.read()
    between.run()
    sent += send_all(between, sender, stream, size - sent)
    assert sent == size
    sender.h2.end_stream(stream)
    between.run()
    assert reader.received[stream] == _PIECE * (size // len(_PIECE))
    assert stream in reader.ended


def test_who_is_read_sends_any_amount() -> None:
    """On many streams, one after the other, through the same connections."""
    between = Between()
    for _ in range(40):
        stream = between.ask()
        assert send_all(between, between.client, stream, FROM_CLIENTS[0]) == FROM_CLIENTS[0]
        assert send_all(between, between.server, stream, FROM_CLIENTS[0]) == FROM_CLIENTS[0]
        for peer in (between.client, between.server):
            peer.h2.end_stream(stream)
        between.run()
        assert len(between.client.received[stream]) == FROM_CLIENTS[0]
    assert not between.clocks


def test_others_go_on_beside_a_stream_that_stands_still() -> None:
    """It has its own window, and part of the connection's."""
    between = Between()
    between.server.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 4 << 20})
    between.server.h2.increment_flow_control_window(1 << 30)
    between.run()
    between.client.reads = False
    still = between.ask()
    send_all(between, between.server, still, 1 << 30)
    other = between.ask()
    assert send_all(between, between.client, other, 1 << 20) == 1 << 20
    assert len(between.server.received[other]) == 1 << 20


def test_small_pieces_are_kept_as_few() -> None:
    """A byte a frame costs no more memory than the same in large ones."""
    between = Between()
    between.server.reads = False
    stream = between.ask()
    sent = send_all(between, between.client, stream, 200_000, b"x")
    kept = between.layer.connections[between.server.connection]
    pieces = cast("Any", kept).h2_conn.stream_buffers[stream]
    assert sent == 200_000
    assert len(pieces) < 20
    assert sum(len(piece.data) for piece in pieces) > 100_000
