"""What stands in a streaming body's way: each piece is judged before mitmproxy sends it on.

Once a body is known to be bulk it steps out of the way: mitmproxy asks a message how it streams
before each piece, and passes the rest on by itself.
"""

import time
from collections.abc import Callable, Iterable

from mitmproxy.http import HTTPFlow, Message

from davylamp.inspection.finding import Finding
from davylamp.inspection.framing import BLANK
from davylamp_mitm.exchange import Body
from davylamp_mitm.lamp import Lamp

type Stream = Callable[[bytes], Iterable[bytes] | bytes]
type Conclude = Callable[[HTTPFlow, tuple[Finding, ...]], bool]
"""Reports what was found and carries out the verdict; tells whether the flow was stopped."""

MAX_WAITING = 64 * 1024
"""Blanks behind a suspicious message that wait with it; more are taken for its end."""


class Tap:
    """A callable for a message's ``stream``, in place of what another addon may have put there.

    mitmproxy calls it with each piece, and with nothing at the end, and sends on what it returns.
    """

    def __init__(
        self, lamp: Lamp, conclude: Conclude, flow: HTTPFlow, message: Message, body: Body
    ) -> None:
        self._lamp = lamp
        self._conclude = conclude
        self._flow = flow
        self._message = message
        self._body = body
        earlier = message.stream
        self._earlier = earlier if callable(earlier) else None
        self._waiting = b""

    def __call__(self, data: bytes) -> list[bytes]:
        """Judge a piece, or the end; return what may be sent on."""
        lamp, flow = self._lamp, self._flow
        if lamp.watched(flow.client_conn).stopped:
            return []
        try:
            passed = self._pass(self._pieces(data))
            return passed if data else passed + self._end()
        except Exception as error:  # noqa: BLE001 - mitmproxy gives the whole connection up on one
            lamp.failed("a streaming body", flow, error)
            if lamp.watched(flow.client_conn).stopped:
                return []
            waiting, self._waiting = self._waiting, b""
            return [waiting + data] if waiting or data else []

    def _pieces(self, data: bytes) -> list[bytes]:
        """Return what the other addon makes of a piece."""
        made = self._earlier(data) if self._earlier is not None else data
        return [piece for piece in ([made] if isinstance(made, bytes) else made) if piece]

    def _pass(self, pieces: list[bytes]) -> list[bytes]:
        passed: list[bytes] = []
        for piece in pieces:
            self._lamp.count(piece)
            step = self._body.receive(piece, time.time())
            if step.found and self._conclude(self._flow, step.found):
                return []
            suspicious = bool(step.doubtful) and self._would_block(step.doubtful)
            if suspicious or (self._waiting and self._may_wait(piece)):
                self._waiting += piece
                continue
            if self._waiting:
                passed.append(self._waiting)
                self._waiting = b""
            passed.append(piece)
        if self._body.passed and self._earlier is None:  # nothing waits, then
            self._message.stream = True
        return passed

    def _would_block(self, doubtful: tuple[Finding, ...]) -> bool:
        flow = self._flow
        return self._lamp.would_block(doubtful, flow.client_conn, flow.server_conn)

    def _may_wait(self, piece: bytes) -> bool:
        return not piece.strip(BLANK) and len(self._waiting) < MAX_WAITING

    def _end(self) -> list[bytes]:
        found = self._body.end(time.time())
        if found and self._conclude(self._flow, found):
            return []
        waiting, self._waiting = self._waiting, b""
        return [waiting] if waiting else []
