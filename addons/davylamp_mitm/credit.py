"""HTTP/2 peers are given room for as much again as went on, and not for as much as came.

mitmproxy lets a peer send two gigabytes ahead, gives that room back at once, and keeps what the
other side has no room for: an upload to a slow server, or a download that nobody reads, is in
memory as a whole. Here a stream has a window, and what was received counts against it until little
of the stream waits to go on. Nobody says when that is, so while some waits a clock looks again.
"""

from collections.abc import Iterable

from h2.config import H2Configuration
from h2.connection import H2Connection
from mitmproxy.proxy.commands import RequestWakeup, SendData
from mitmproxy.proxy.events import Event, Wakeup
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers import http
from mitmproxy.proxy.layers.http import HttpLayer, _http2
from mitmproxy.proxy.layers.http._events import RequestData, ResponseData
from mitmproxy.proxy.layers.http._http2 import Http2Client, Http2Connection, Http2Server
from mitmproxy.proxy.layers.http._http_h2 import BufferedH2Connection, SendH2Data

MIB = 1024 * 1024
FROM_CLIENTS = (MIB, 8 * MIB)
FROM_SERVERS = (6 * MIB, 15 * MIB)
"""Windows of a stream and of its connection, in bytes. Clients are near; at 200 ms to a server a
stream has 30 MB/s, which is what a worker's HTTP/2 does. Chromium has the same."""

MAX_WAITING = 512 * 1024
"""Bytes of a stream that may wait to go on, and its sender still has all its room."""

_LOOK_AFTER = 256 * 1024
_LOOK_SECONDS = 0.02
_MAX_PIECES = 1024
_SMALL = 16 * 1024


class CreditedConnection(BufferedH2Connection):
    """One end of HTTP/2; ``owed`` is what was received of each stream and not given back yet."""

    def __init__(self, config: H2Configuration) -> None:
        super().__init__(config)
        self._windows = FROM_SERVERS if config.client_side else FROM_CLIENTS
        self.local_settings.initial_window_size = self._windows[0]
        self.local_settings.acknowledge()  # as mitmproxy does: or the old ones would be sent
        self.owed: dict[int, int] = {}
        self.fresh = 0
        """Bytes that were received since it was last looked what waits."""

    def initiate_connection(self) -> None:
        """Say our settings, and how large the connection's window is."""
        H2Connection.initiate_connection(self)
        self.increment_flow_control_window(self._windows[1] - self.inbound_flow_control_window)

    def acknowledge_received_data(self, acknowledged_size: int, stream_id: int) -> None:
        """Note what a stream is to be given back."""
        self.owed[stream_id] = self.owed.get(stream_id, 0) + acknowledged_size
        self.fresh += acknowledged_size

    def give_back(self, stream_id: int) -> None:
        """Give a stream its room back."""
        super().acknowledge_received_data(self.owed.pop(stream_id), stream_id)

    def send_data(  # type: ignore[override]  # as mitmproxy's, which sends bytes
        self, stream_id: int, data: bytes, end_stream: bool = False, pad_length: None = None
    ) -> None:
        """Send, or keep what there is no room for; small pieces are kept as one."""
        kept = self.stream_buffers.get(stream_id)
        if kept and len(kept[-1].data) + len(data) <= _SMALL and not kept[-1].end_stream:
            kept[-1] = SendH2Data(kept[-1].data + data, end_stream)
        else:
            super().send_data(stream_id, data, end_stream, pad_length)


class _Credited(Http2Connection):
    """What both sides have in common."""

    _clock: RequestWakeup | None = None

    def _handle_event(self, event: Event) -> CommandGenerator[None]:
        if isinstance(event, Wakeup) and event.command is self._clock:
            self._clock = None
            self._conn.fresh = _LOOK_AFTER
        else:
            yield from super()._handle_event(event)
        if self._conn.fresh >= _LOOK_AFTER:
            yield from self._look()

    @property
    def _conn(self) -> CreditedConnection:
        assert isinstance(self.h2_conn, CreditedConnection)
        return self.h2_conn

    def _look(self) -> CommandGenerator[None]:
        conn = self._conn
        conn.fresh = 0
        for stream_id in tuple(conn.owed):
            if self._waiting(self._flow_of(stream_id)) <= MAX_WAITING:
                conn.give_back(stream_id)
        if data := conn.data_to_send():
            yield SendData(self.conn, data)
        if conn.owed and self._clock is None:
            self._clock = RequestWakeup(_LOOK_SECONDS)
            yield self._clock

    def _flow_of(self, stream_id: int) -> int:
        """Return what a stream is called between the sides."""
        return stream_id

    def _waiting(self, flow: int) -> int:
        """Return how much of what we received waits to go on, or more than may."""
        *_, parent = (one for one in self.context.layers if isinstance(one, HttpLayer))
        stream = parent.streams.get(flow)  # gone when all came, though not all went on
        paused = stream._paused_event_queue if stream is not None else ()  # noqa: SLF001
        kept = _size(one.data for one in paused if isinstance(one, RequestData | ResponseData))
        for layer in parent.connections.values():
            other = layer.context.layers[-1]
            if other is not self and isinstance(other, _Credited):
                kept += other.keeps(flow)
        return kept

    def keeps(self, flow: int) -> int:
        """Return how much of a flow waits here until its receiver has room."""
        return _size(piece.data for piece in self.h2_conn.stream_buffers.get(flow, ()))


class CreditedServer(_Credited, Http2Server):
    """A client's side."""


class CreditedClient(_Credited, Http2Client):
    """A server's side."""

    def _flow_of(self, stream_id: int) -> int:
        return self.their_stream_id[stream_id]

    def keeps(self, flow: int) -> int:
        """Return how much waits, also of what may not be asked for yet."""
        if flow not in self.our_stream_id:
            queue = self.stream_queue.get(flow, ())
            return _size(event.data for event in queue if isinstance(event, RequestData))
        return super().keeps(self.our_stream_id[flow])


def give_credit() -> None:
    """Have mitmproxy speak HTTP/2 so, from the next connection on."""
    _http2.BufferedH2Connection = CreditedConnection  # type: ignore[attr-defined]
    http.Http2Server = CreditedServer  # type: ignore[attr-defined]
    http.Http2Client = CreditedClient  # type: ignore[attr-defined]


def _size(pieces: Iterable[bytes]) -> int:
    size = 0
    for number, piece in enumerate(pieces):
        size += len(piece)
        if size > MAX_WAITING or number > _MAX_PIECES:
            return MAX_WAITING + 1
    return size
