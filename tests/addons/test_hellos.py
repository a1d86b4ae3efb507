"""TLS that begins oddly is opened like any other, or does not pass; what only looks so does."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from tests.addons.conftest import Start
from tests.addons.mitm import (
    LOGIN,
    Mitm,
    RecordingServer,
    blind_tls,
    free_port,
    read_to_end,
    through_connect,
    wait_until,
)

from davylamp_mitm.hellos import MAX_BYTES, MAX_RECORDS, gathered

pytestmark = pytest.mark.programs

_APART = 0.2
_SUITES = b"\x00\xc0\x2f\x00\xc0\x30\x00\x00\x9c\x00\x00\x2f"


@dataclass(frozen=True)
class Road:
    """A mitmdump in front of a TLS server and of one that is none."""

    mitm: Mitm
    port: int
    tls: RecordingServer
    raw: RecordingServer

    def to_tls(self) -> socket.socket:
        """Connect to the first by CONNECT."""
        return through_connect(self.port, self.tls.port)


@pytest.fixture
def road(start: Start, server_tls: ssl.SSLContext) -> Iterator[Road]:
    """Give a road that is enforced."""
    port = free_port()
    with RecordingServer(tls=server_tls) as tls, RecordingServer() as raw:
        yield Road(start(f"regular@{port}"), port, tls, raw)


def records(hello: bytes, size: int) -> bytes:
    """Cut a hello into records of so many bytes."""
    body = hello[5:]
    parts = (body[at : at + size] for at in range(0, len(body), size))
    return b"".join(hello[:3] + len(part).to_bytes(2) + part for part in parts)


_BEGINNINGS: dict[str, Callable[[bytes], tuple[bytes, ...]]] = {
    "one byte first": lambda hello: (hello[:1], hello[1:]),
    "two bytes first": lambda hello: (hello[:2], hello[2:]),
    "half a record first": lambda hello: (hello[:40], hello[40:]),
    "version 3.4": lambda hello: (hello[:2] + b"\x04" + hello[3:],),
    "version 3.255": lambda hello: (hello[:2] + b"\xff" + hello[3:],),
    "records of seven bytes": lambda hello: (records(hello, 7),),
}


def login(peer: socket.socket, beginning: str) -> None:
    """Open TLS so, and say a login in it."""
    come, go = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = blind_tls().wrap_bio(come, go)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    for piece in _BEGINNINGS[beginning](go.read()):
        peer.sendall(piece)
        time.sleep(_APART)
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            peer.sendall(go.read())
            come.write(peer.recv(65536))
    tls.write(LOGIN + b"\n")
    peer.sendall(go.read())


@pytest.mark.parametrize("beginning", _BEGINNINGS)
def test_a_hello_is_opened_however_it_comes(road: Road, beginning: str) -> None:
    """Mining in it is found, and none of it reaches the server."""
    with road.to_tls() as peer:
        login(peer, beginning)
        [alert] = road.mitm.alerts()
    assert alert["mining"]["layers"][:3] == ["tcp", "http", "tls"]
    assert b"login" not in road.tls.data


def warned(hello: bytes) -> bytes:
    """Put a warning before a hello, which some servers pass over."""
    return b"\x15\x03\x01\x00\x02\x01\x00" + hello


def ancient(_: bytes) -> bytes:
    """Return a hello for TLS 1.2 as SSLv2 wrote it (RFC 5246 appendix E.2)."""
    sizes = b"".join(size.to_bytes(2) for size in (len(_SUITES), 0, 32))
    body = b"\x01\x03\x03" + sizes + _SUITES + bytes(32)
    return (0x8000 | len(body)).to_bytes(2) + body


@pytest.mark.parametrize("how", [warned, ancient])
def test_a_hello_that_only_servers_read_does_not_pass(
    road: Road, how: Callable[[bytes], bytes]
) -> None:
    """Nothing of it reaches the server, which would have answered."""
    come, go = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        blind_tls().wrap_bio(come, go).do_handshake()
    peer = through_connect(road.port, road.raw.port)
    peer.sendall(how(go.read()))
    assert read_to_end(peer).reset
    assert road.raw.data == b""


@pytest.mark.parametrize("said", [b"\x16", b"\x15\x03", b"\x80", b"\x80\x2e\x01\x03"])
def test_what_begins_like_tls_passes_when_it_is_none(road: Road, said: bytes) -> None:
    """It waits for more, and no longer."""
    peer = through_connect(road.port, road.raw.port)
    peer.sendall(said)
    time.sleep(_APART)
    more = b"\xff" * 64
    peer.sendall(more)
    assert wait_until(lambda: road.raw.data == said + more)
    peer.close()


def hello(size: int) -> bytes:
    """Return a handshake message of a ClientHello's kind."""
    return b"\x01" + size.to_bytes(3) + bytes(size)


def in_records(message: bytes, size: int) -> bytes:
    """Put a message into records of so many bytes."""
    return records(b"\x16\x03\x01\x00\x00" + message, size)


@pytest.mark.parametrize("size", [1, 2, 100, 4000])
def test_a_hello_is_gathered_from_its_records(size: int) -> None:
    """It is whole with its last byte, and what is behind it is not its."""
    said = in_records(hello(300), size)
    assert gathered(said + b"early data") == hello(300)
    assert gathered(said[:-1]) is None


def test_a_hello_is_not_gathered_for_ever() -> None:
    """Neither in very many records nor in very many bytes."""
    endless = b"\x16\x03\x01\x00\x04\x01\xff\xff\xff"
    with pytest.raises(ValueError, match="records"):
        gathered(endless + in_records(bytes(MAX_RECORDS), 1))
    assert gathered(endless + in_records(bytes(MAX_BYTES // 2), 1 << 14)) is None
    with pytest.raises(ValueError, match="bytes"):
        gathered(endless + in_records(bytes(MAX_BYTES), 1 << 14))
