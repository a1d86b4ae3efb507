"""WebSocket messages through mitmproxy's own layer: whole ones pass, endless ones do not."""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from mitmproxy.connection import Client, Connection, ConnectionState, Server
from mitmproxy.http import HTTPFlow, Request, Response
from mitmproxy.options import Options
from mitmproxy.proxy.commands import CloseConnection, SendData, StartHook
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.events import DataReceived, Event, HookCompleted, Start
from mitmproxy.proxy.layers.websocket import WebsocketLayer
from mitmproxy.websocket import WebSocketData

from davylamp_mitm.gathered import MAX_GATHERED, bound_messages

TEXT, BINARY, GOES_ON = 1, 2, 0
LAST, DEFLATED = 0x80, 0x40
CHUNK = 64 * 1024


def frame(kind: int, data: bytes = b"", size: int | None = None) -> bytes:
    """Return a frame as a server sends it, or the beginning of one that is said to be longer."""
    size = len(data) if size is None else size
    if size < 126:
        return bytes((kind, size)) + data
    if size < 1 << 16:
        return bytes((kind, 126)) + struct.pack(">H", size) + data
    return bytes((kind, 127)) + struct.pack(">Q", size) + data


@dataclass
class Ends:
    """A WebSocket between two ends that are open, with the layer between them."""

    extensions: str = ""
    sent: bytearray = field(default_factory=bytearray)
    closed: list[Connection] = field(default_factory=list)

    def __post_init__(self) -> None:
        bound_messages()
        client = Client(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2), timestamp_start=0.0)
        self.server = Server(address=("127.0.0.1", 3))
        client.state = self.server.state = ConnectionState.OPEN
        self.flow = HTTPFlow(client, self.server)
        self.flow.request = Request.make("GET", "http://a.example/")
        fields = {"Sec-WebSocket-Extensions": self.extensions}
        self.flow.response = Response.make(101, b"", fields)
        self.flow.websocket = WebSocketData()
        context = Context(client, Options())
        context.server = self.server
        self.layer = WebsocketLayer(context, self.flow)
        self._happen(Start())

    def say(self, data: bytes) -> None:
        """Have the server say something."""
        self._happen(DataReceived(self.server, data))

    @property
    def messages(self) -> list[bytes]:
        """What the hook was shown."""
        assert self.flow.websocket is not None
        return [message.content for message in self.flow.websocket.messages]

    def _happen(self, event: Event) -> None:
        for command in self.layer.handle_event(event):
            match command:
                case StartHook():
                    self._happen(HookCompleted(cast("Any", command), None))
                case SendData():
                    self.sent += command.data
                case CloseConnection():
                    self.closed.append(command.connection)
                case _:
                    pass


@pytest.mark.parametrize("kind", [TEXT, BINARY])
def test_messages_pass_as_they_are(kind: int) -> None:
    """In one frame or several, cut into any pieces, with the frames that they had."""
    ends = Ends()
    said = (
        frame(kind | LAST, b"one")
        + frame(kind, b"tw")
        + frame(GOES_ON)
        + frame(GOES_ON | LAST, b"o")
        + frame(kind | LAST)
    )
    for at in range(len(said)):
        ends.say(said[at : at + 1])
    assert ends.messages == [b"one", b"two", b""]
    assert bytes(ends.sent) == said
    assert not ends.closed


def test_a_message_of_the_bound_passes() -> None:
    """What was before it does not count, as it has gone."""
    ends = Ends()
    half = b"x" * (MAX_GATHERED // 2)
    for _ in range(4):
        ends.say(frame(BINARY, half[CHUNK:]) + frame(GOES_ON | LAST, half[CHUNK:]))
    assert len(ends.messages) == 4
    assert not ends.closed


def endless_frame(ends: Ends) -> None:
    """Say one frame that is said to be a terabyte."""
    ends.say(frame(BINARY, size=1 << 40))
    for _ in range(MAX_GATHERED // CHUNK + 1):
        ends.say(b"x" * CHUNK)


def endless_frames(ends: Ends) -> None:
    """Say a message that goes on and on, in frames with nothing in them."""
    ends.say(frame(TEXT))
    ends.say(frame(GOES_ON) * (MAX_GATHERED // 64))


def bomb(ends: Ends) -> None:
    """Say a message that is small until it is inflated."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = deflate.compress(bytes(MAX_GATHERED + 1)) + deflate.flush(zlib.Z_SYNC_FLUSH)
    ends.say(frame(BINARY | DEFLATED, data))


@pytest.mark.parametrize("endless", [endless_frame, endless_frames, bomb])
def test_an_endless_message_ends_the_connection(endless: Callable[[Ends], None]) -> None:
    """Both ends are closed, nothing of it was sent on, and nothing more is gathered."""
    ends = Ends("permessage-deflate" if endless is bomb else "")
    endless(ends)
    assert len(ends.closed) == 2
    assert not ends.messages
    assert len(ends.sent) < 200
    assert b"\x03\xf1stopped by davylamp" in ends.sent  # 1009
    ends.say(b"x" * CHUNK)
    assert sum(map(len, ends.layer.server_ws.frame_buf)) < CHUNK
