"""Stopping that stops: both ends of a client's connection are reset, not closed.

`flow.kill()` alone stops neither raw TCP nor what follows an HTTP 101, and where it does stop
something the peers see an orderly end. Here the sockets themselves are aborted with a linger time
of zero, so that what waits in their buffers is thrown away and each peer is sent a RST (SO_LINGER
in socket(7)). What mitmproxy wants to send afterwards meets a closing writer and is not sent.
"""

import asyncio
import socket
import struct

from mitmproxy import ctx
from mitmproxy.connection import Client, Connection, Server
from mitmproxy.flow import Flow
from mitmproxy.proxy.server import ConnectionIO

_NO_LINGER = struct.pack("ii", 1, 0)
_REASON = "stopped by davylamp"


def cut(client: Client, server: Server | None) -> int:
    """Reset every socket of a client's connection at once; return how many there were.

    A server that is not connected yet will not be.
    """
    if server is not None and not server.connected:
        server.error = _REASON
    transports = _transports(client)
    for connection, io in transports:
        if isinstance(connection, Server) and io.writer is None:
            connection.error = _REASON
        _abort(io)
    return len(transports)


def arrived_at(client: Client) -> tuple[str, int] | None:
    """Return the address of our own that a client is connected to.

    What mitmproxy calls its ``sockname`` is, in transparent mode, where it wanted to go.
    """
    for connection, io in _transports(client):
        if connection is client and io.writer is not None:
            name: tuple[str, int] | None = io.writer.get_extra_info("sockname")
            return name
    return None


def mark(flow: Flow, reason: str) -> None:
    """Mark a flow as stopped, for people who look at it in mitmproxy."""
    flow.marked = ":no_entry:"
    flow.comment = f"davylamp: {reason}"
    if flow.killable:
        flow.kill()


def _transports(client: Client) -> tuple[tuple[Connection, ConnectionIO], ...]:
    proxyserver = ctx.master.addons.get("proxyserver")
    handlers = proxyserver.connections if proxyserver is not None else {}
    handler = handlers.get(client.id) or handlers.get((client.peername, client.sockname))
    return tuple(handler.transports.items()) if handler is not None else ()


def _abort(io: ConnectionIO) -> None:
    writer = io.writer
    if writer is None:
        return
    if not isinstance(writer, asyncio.StreamWriter):  # datagrams, and streams of mitmproxy_rs
        writer.close()
        return
    peer = writer.get_extra_info("socket")
    if peer is not None and peer.fileno() >= 0:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    writer.transport.abort()
