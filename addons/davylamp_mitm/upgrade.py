"""An upgrade to WebSocket that nobody is there to grant: granted here, to hear what it was for.

Nobody vouches for the server, so mitmproxy will not talk to it. Whoever mines inside a WebSocket
says so in the first frame and not in the upgrade: it is answered as the server would have answered
(RFC 6455 section 4.2.2), without extensions, so that frames come as they are. What the client then
says is judged and goes nowhere.
"""

import time

from mitmproxy.net.http import http1
from mitmproxy.proxy.commands import CloseConnection, SendData
from mitmproxy.proxy.events import ConnectionClosed, DataReceived, Event
from mitmproxy.proxy.layer import CommandGenerator, Layer, NextLayer
from wsproto.utilities import generate_accept_token

from davylamp.flow import Direction
from davylamp.inspection.framing import MAX_MESSAGE
from davylamp_mitm.assay import heard
from davylamp_mitm.lamp import Lamp, Sight
from davylamp_mitm.strand import ByteStrand

_BEGIN = b"GET "
_END = b"\r\n\r\n"
_MAX_HEAD = 32 * 1024


def granted(data: bytes) -> bytes | None:
    """Return the answer that grants what a client asks for: nothing where it asks for no WebSocket.

    None while its request's head is not whole.
    """
    if not data.startswith(_BEGIN[: len(data)]):
        return b""
    head, end, _ = data.partition(_END)
    if not end:
        return None if len(data) <= _MAX_HEAD else b""
    try:
        headers = http1.read_request_head(head.split(b"\r\n")).headers
    except ValueError:
        return b""
    key = headers.get("Sec-WebSocket-Key", "")
    if headers.get("Upgrade", "").lower() != "websocket" or not key:
        return b""
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + generate_accept_token(key.encode("utf-8", "surrogateescape")),
    ]
    protocol = headers.get("Sec-WebSocket-Protocol", "").split(",")[0].strip()
    if protocol:
        lines.append(b"Sec-WebSocket-Protocol: " + protocol.encode("utf-8", "surrogateescape"))
    return b"\r\n".join(lines) + _END


class HeardUpgrade(Layer):
    """Answers one upgrade and judges what comes of it, until that is a whole message."""

    def __init__(self, asked: NextLayer, lamp: Lamp, answer: bytes) -> None:
        super().__init__(asked.context)
        self._subject = asked
        self._lamp = lamp
        self._answer = answer
        self._strand = ByteStrand(lamp.assay(asked.context.client, asked.context.server))
        self._heard = 0

    def _handle_event(self, event: Event) -> CommandGenerator[None]:
        client = self.context.client
        match event:
            case DataReceived() if self._lamp.watched(client).stopped:
                pass
            case DataReceived() if event.connection is client:
                yield from self._hear(event.data)
            case ConnectionClosed() if event.connection is client:
                yield CloseConnection(client)
            case _:
                pass

    def _hear(self, data: bytes) -> CommandGenerator[None]:
        if self._answer:
            head, end, data = data.partition(_END)
            if self._ends(Direction.ORIGINATOR, head + end):
                return
            yield SendData(self.context.client, self._answer)
            self._ends(Direction.RESPONDER, self._answer)
            self._answer = b""
            self._lamp.watched(self.context.client).enter(self.context.client, "http")
        if data and not self._ends(Direction.ORIGINATOR, data):
            self._heard += len(data)
            if not self._strand.partial or self._heard > MAX_MESSAGE:
                self._lamp.stats.unverified += 1
                self._lamp.stop(self.context.client, self.context.server, None, "")

    def _ends(self, direction: Direction, data: bytes) -> bool:
        """Judge what is said; tell whether that was the connection's end, whatever policy says."""
        lamp, client, server = self._lamp, self.context.client, self.context.server
        try:
            lamp.count(data)
            found = self._strand.receive(direction, data, time.time())
            outer = lamp.watched(client).outer(client)
            verdict = lamp.judge(Sight(found, client, server, self._strand.app_proto, outer))
        except Exception as error:  # noqa: BLE001 - as at the edge of a hook
            lamp.failed("an upgrade", self._subject, error)
            return True
        if verdict is None or not (verdict.blocks or heard(found)):
            return False
        lamp.stop(client, server, None, verdict.reason)
        return True
