"""A connection is read no faster than what was read of it goes on.

mitmproxy's layers wait: for a server to be connected to, for a handshake, for an answer before the
next request is looked at. What comes meanwhile they keep, as much as comes. So after some reading
is looked for what waits, and while that is too much nothing more is read: it stays in the kernel,
whose buffers fill, and the peer waits as it would without a proxy. What waits is waiting for
something else than more of the same, so it goes on; or the connection ends.

HTTP/2 is not held up so until much waits, for its peers also say when they have room, which must be
heard; there credit is what bounds (`credit`).
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from mitmproxy.connection import Client, Connection, ConnectionState
from mitmproxy.proxy import mode_servers
from mitmproxy.proxy.events import ConnectionClosed, DataReceived, Event
from mitmproxy.proxy.layer import Layer, NextLayer
from mitmproxy.proxy.layers.http import HttpLayer
from mitmproxy.proxy.layers.http._events import RequestData, ResponseData
from mitmproxy.proxy.layers.http._http1 import Http1Connection
from mitmproxy.proxy.layers.http._http2 import Http2Connection
from mitmproxy.proxy.tunnel import TunnelLayer

LOOK_AFTER = 256 * 1024
"""Bytes that are read of a connection until it is looked what waits."""

MAX_WAITING = 256 * 1024
MAX_WAITING_STREAMS = 64 * 1024 * 1024
"""Bytes of a connection that may wait before no more is read; the second with HTTP/2."""

_PIECE = 256
"""Bytes that a piece takes besides its own, rounded up."""


class MeasuredHandler(mode_servers.ProxyConnectionHandler):
    """A client's connection, and those to servers behind it, each read as far as it goes on."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)  # type: ignore[no-untyped-call]
        self._read: Counter[Connection] = Counter()
        self._moved = asyncio.Event()

    async def server_event(self, event: Event) -> None:
        """Count what is read, and note that something may have gone on.

        Events wait for each other, and who waits may be cancelled: because its connection is to be
        closed, which mitmproxy looks for where it reads, and nowhere else is it closed.
        """
        if isinstance(event, DataReceived) and event.connection.state is ConnectionState.CLOSED:
            return  # by us, and layers that have ended do not expect it
        try:
            await super().server_event(event)
        except asyncio.CancelledError:
            if not isinstance(event, DataReceived):
                await super().server_event(event)
            task = asyncio.current_task()
            assert task is not None
            task.cancel("closed while waiting")
        match event:
            case DataReceived():
                self._read[event.connection] += len(event.data)
            case ConnectionClosed():
                del self._read[event.connection]
            case _:
                pass
        self._moved.set()

    async def drain_writers(self) -> None:
        """Wait until a connection may be read again; its own task asks after each piece."""
        await super().drain_writers()  # type: ignore[no-untyped-call]
        task = asyncio.current_task()
        read = next((one for one, io in self.transports.items() if io.handler is task), None)
        if read is None or self._read[read] < LOOK_AFTER:
            return
        del self._read[read]
        while is_full(self.layer, read):
            self._moved.clear()
            await self._moved.wait()


def measure_reading() -> None:
    """Have mitmproxy read so, from the next connection on."""
    mode_servers.ProxyConnectionHandler = MeasuredHandler  # type: ignore[misc]


def is_full(top: Layer, connection: Connection) -> bool:
    """Tell whether too much that was read of a connection waits in its layers."""
    from_client = isinstance(connection, Client)
    waiting, bound = 0, MAX_WAITING
    for layer in _layers(top):
        if isinstance(layer, Http2Connection):
            bound = MAX_WAITING_STREAMS
        waiting += _kept(layer, client=from_client)
    return waiting > bound


def _layers(top: Layer) -> Iterator[Layer]:
    """Yield a layer and all that are in it, each once."""
    seen: set[int] = set()
    open_ = [top]
    while open_:
        layer = open_.pop()
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        yield layer
        # A layer that has made way for another hands its events to that.
        after = getattr(layer._handle_event, "__self__", None)  # noqa: SLF001
        inner = [after, getattr(layer, "child_layer", None)]
        if isinstance(layer, HttpLayer):
            inner += [*layer.connections.values(), *layer.streams.values()]
        open_ += [one for one in inner if isinstance(one, Layer)]


def _kept(layer: Layer, *, client: bool) -> int:
    """Return the bytes of one side that a layer by itself keeps."""
    kept = _pieces(layer._paused_event_queue, client=client)  # noqa: SLF001
    match layer:
        case NextLayer():
            kept += _pieces(layer.events, client=client)
        case TunnelLayer():
            kept += _pieces(layer._event_queue, client=client)  # noqa: SLF001
        case Http1Connection() if isinstance(layer.conn, Client) is client:
            kept += len(layer.buf)
        case _:
            pass
    return kept


def _pieces(events: Iterable[Event], *, client: bool) -> int:
    kept = 0
    for event in events:
        match event:
            case DataReceived() if isinstance(event.connection, Client) is client:
                kept += len(event.data) + _PIECE
            case RequestData() if client:
                kept += len(event.data) + _PIECE
            case ResponseData() if not client:
                kept += len(event.data) + _PIECE
            case _:
                pass
    return kept
