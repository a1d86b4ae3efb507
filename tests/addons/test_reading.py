"""What cannot go on is not read: it waits in the kernel, and its peer with it."""

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest
from tests.addons.conftest import Start
from tests.addons.mitm import (
    Mitm,
    RecordingServer,
    connect,
    free_port,
    read_to_end,
    through_connect,
    wait_until,
)

pytestmark = pytest.mark.programs

_MB = 1_000_000
_OFFERED = 96 * _MB
_KERNEL = 40 * _MB
"""What two sockets' buffers may hold at most, and more than mitmproxy is to keep."""
_PIECE = b"x" * 65536


@pytest.fixture
def unreachable() -> Iterator[int]:
    """Give the port of a server to which every new connection hangs."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            peer = stack.enter_context(socket.socket())
            peer.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                peer.connect(server.getsockname())
        yield server.getsockname()[1]


def offer(peer: socket.socket, piece: bytes = _PIECE) -> int:
    """Offer more and more; return how many bytes were taken until nothing was for a while."""
    peer.settimeout(2.0)
    taken = 0
    with contextlib.suppress(OSError):
        while taken < _OFFERED:
            taken += peer.send(piece)
    return taken


def held(mitm: Mitm, before: int) -> int:
    """Return the bytes by which its memory grew."""
    return mitm.memory() - before


def test_what_waits_for_a_server_is_not_read(start: Start, unreachable: int) -> None:
    """Nothing is kept while the server is being connected to."""
    port = free_port()
    mitm = start(f"reverse:tcp://127.0.0.1:{unreachable}@{port}")
    before = mitm.memory()
    with connect(port) as peer:
        assert offer(peer) < _KERNEL
        assert held(mitm, before) < 8 * _MB


def test_what_waits_for_an_answer_is_not_read_and_then_is(start: Start) -> None:
    """Requests behind one that is not answered wait; none is lost when it is."""
    port = free_port()
    answers: list[socket.socket] = []
    with RecordingServer(lambda raw, _: answers.append(raw)) as server:
        mitm = start(f"reverse:http://127.0.0.1:{server.port}@{port}")
        before = mitm.memory()
        with connect(port) as peer:
            peer.sendall(b"GET /first HTTP/1.1\r\nHost: x\r\n\r\n")
            assert wait_until(lambda: answers)
            size = 8 * _MB
            head = b"POST /second HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
            taken = offer(peer, head + bytes(size))
            assert held(mitm, before) < 4 * _MB
            answers[0].sendall(b"HTTP/1.1 200 -\r\nContent-Length: 0\r\n\r\n")
            assert wait_until(lambda: len(server.data) >= min(taken, size))


_ENDLESS = {
    "request line": (b"GET /", _PIECE),
    "head": (b"GET / HTTP/1.1\r\n", b"name: value\r\n" * 5000),
    "chunk's line": (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"1;" + _PIECE,
    ),
    "trailers": (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        b"name: value\r\n" * 5000,
    ),
}


@pytest.mark.parametrize("what", _ENDLESS)
def test_an_endless_head_ends_its_connection(start: Start, what: str) -> None:
    """It is refused as soon as it is too large."""
    port = free_port()
    with RecordingServer() as server:
        mitm = start(f"reverse:http://127.0.0.1:{server.port}@{port}")
        before = mitm.memory()
        begin, more = _ENDLESS[what]
        with connect(port) as peer:
            peer.sendall(begin)
            assert offer(peer, more) < _KERNEL
            read_to_end(peer)
        assert held(mitm, before) < 8 * _MB


def test_an_endless_answer_ends_its_connection(start: Start) -> None:
    """A server that never ends its head is left, and its client told so."""

    def answer(raw: socket.socket, _: object) -> None:
        with contextlib.suppress(OSError):
            raw.sendall(b"HTTP/1.1 200 -\r\n")
            for _ in range(_OFFERED // len(_PIECE)):
                raw.sendall(_PIECE)

    port = free_port()
    with RecordingServer(answer) as server:
        start(f"reverse:http://127.0.0.1:{server.port}@{port}")
        peer = connect(port)
        peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert read_to_end(peer).data.startswith(b"HTTP/1.1 502 ")


def test_a_connection_that_is_given_up_while_it_goes_on_is_closed(start: Start) -> None:
    """However much of it was still to be read, its sockets are gone."""
    port = free_port()
    with RecordingServer() as server:
        mitm = start(f"regular@{port}")
        before = mitm.sockets()
        for _ in range(10):
            with through_connect(port, server.port) as peer:
                peer.sendall(b"\x16\x03\x01\x00\x04\x01\xff\xff\xff")
                offer(peer)
        time.sleep(0.2)
        assert wait_until(lambda: mitm.sockets() <= before, 5)
