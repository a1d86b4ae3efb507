"""Ports of this host's loopback that a lab's gateway host has on its own."""

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Iterable, Iterator
from functools import partial

from davylamp.lab import Lab
from davylamp.lab.topology import GATEWAY

_HERE = "127.0.0.1"


@contextlib.contextmanager
def reachable(lab: Lab, ports: Iterable[int]) -> Iterator[None]:
    """Join each port there to the same one here, byte for byte, as long as the block lasts.

    The nodes of a Cluster name each other by these addresses, so they must hold on either side.
    """
    listening = _listening(lab, ports)
    loop, over = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(_serve(listening, over),))
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


def _listening(lab: Lab, ports: Iterable[int]) -> list[socket.socket]:
    """Open the sockets in the other network; a socket stays in the one that it was made in."""
    home, there = (
        os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        for pid in ("thread-self", lab.host(GATEWAY).pid)
    )
    try:
        os.setns(there, os.CLONE_NEWNET)
        return [socket.create_server((_HERE, port)) for port in ports]
    finally:
        os.setns(home, os.CLONE_NEWNET)
        os.close(home)
        os.close(there)


async def _serve(listening: list[socket.socket], over: asyncio.Event) -> None:
    servers = [
        await asyncio.start_server(partial(_join, one.getsockname()[1]), sock=one)
        for one in listening
    ]
    await over.wait()
    for server in servers:
        server.close()
    joined = asyncio.all_tasks() - {asyncio.current_task()}
    for task in joined:
        task.cancel()
    await asyncio.gather(*joined, return_exceptions=True)
    await asyncio.sleep(0)  # in which aborted connections are closed


async def _join(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    back: asyncio.StreamWriter | None = None
    try:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            back_reader, back = await asyncio.open_connection(_HERE, port)
            await asyncio.gather(_pour(reader, back), _pour(back_reader, writer))
    finally:
        for one in (writer, back):
            if one is not None:
                one.transport.abort()


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while some := await reader.read(65536):
        writer.write(some)
        await writer.drain()
    writer.close()
