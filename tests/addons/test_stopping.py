"""Each way in which mining crosses mitmproxy is stopped on the wire: nothing whole arrives."""

import functools
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from tests.addons.conftest import Start
from tests.addons.mitm import (
    LOGIN,
    Heard,
    Mitm,
    Outcome,
    RecordingServer,
    blind_tls,
    connect,
    free_port,
    read_to_end,
    through_connect,
    through_socks,
    wait_until,
)
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as connect_websocket
from websockets.sync.server import Server, ServerConnection, serve

from davylamp.lab.programs.certs import Leaf, self_signed

pytestmark = pytest.mark.programs

type Road = Callable[[int, int], socket.socket]


class Pool:
    """The lab's pool on the loopback address: TLS or not, told apart by the first byte."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self._summary = directory / "pool.json"
        program = (sys.executable, "-m", "davylamp.lab.programs.pool")
        options = ("--bind", f"127.0.0.1:{self.port}", "--summary", str(self._summary))
        self._process = subprocess.Popen(
            [*program, *options], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        assert json.loads(self._process.stdout.readline())["ready"]

    def counts(self) -> dict[str, int]:
        """End the pool and return what reached it."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.communicate()
        counts: dict[str, int] = json.loads(self._summary.read_text())
        return counts


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    """Run a pool that records, for one test."""
    made = Pool(tmp_path)
    yield made
    made.counts()


def straight(proxy: int, target: int) -> socket.socket:
    """Reach a target that the proxy was told of beforehand."""
    return connect(proxy)


ROADS: dict[str, tuple[str, Road, list[str]]] = {
    "reverse": ("reverse:tcp://127.0.0.1:{target}@{port}", straight, []),
    "connect": ("regular@{port}", through_connect, ["http"]),
    "socks": ("socks5@{port}", through_socks, ["socks5"]),
}


def assert_stopped(mitm: Mitm, outcome: Outcome, layers: list[str]) -> dict[str, Any]:
    """Check that a client was reset and that the event holds what it said; return the event."""
    assert outcome.reset, outcome
    [alert] = mitm.alerts()
    assert alert["alert"]["category"] == "mining", alert
    assert alert["verdict"]["action"] == "reject"
    assert alert["mining"]["layers"] == layers
    assert '"method":"login"' in alert["evidence"][0]["excerpt"]
    assert "4" * 95 not in json.dumps(alert), "a wallet was not redacted"
    return alert


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("tls", ["", "TLSv1_2", "TLSv1_3"])
def test_stratum_is_cut(start: Start, pool: Pool, road: str, tls: str) -> None:
    """A login, in the clear or inside TLS, resets both ends and never reaches the pool."""
    mode, reach, layers = ROADS[road]
    port = free_port()
    mitm = start(mode.format(target=pool.port, port=port))
    peer = reach(port, pool.port)
    below = peer.dup()  # where a reset is seen: Python's ssl takes one for an end
    if tls:
        peer = blind_tls(ssl.TLSVersion[tls]).wrap_socket(peer)
    with peer:
        peer.sendall(LOGIN + b"\n")
        outcome = read_to_end(below)
    alert = assert_stopped(mitm, outcome, ["tcp", *layers, *(["tls"] if tls else [])])
    assert alert["dest_port"] == pool.port
    assert bool(tls) == ("ja4" in alert.get("tls", {}))
    counts = pool.counts()
    assert counts["complete_requests"] == 0
    assert counts["connections"] == counts["resets"] == 1


def test_login_in_pieces_is_cut(start: Start, pool: Pool) -> None:
    """A login whose bytes come one at a time is not completed either."""
    port = free_port()
    mitm = start(f"reverse:tcp://127.0.0.1:{pool.port}@{port}")
    with connect(port) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in LOGIN:
            peer.sendall(bytes((byte,)))
            time.sleep(0.0005)
        assert_stopped(mitm, read_to_end(peer), ["tcp"])
    counts = pool.counts()
    assert counts["complete_requests"] == 0
    assert counts["bytes_received"] < len(LOGIN)


@pytest.mark.parametrize("dialect", ["stratum", "cryptonote"])
def test_real_client_mines_nothing(start: Start, pool: Pool, dialect: str) -> None:
    """The lab's miner, with its own reconnects, never gets a request through."""
    port = free_port()
    mitm = start(f"reverse:tcp://127.0.0.1:{pool.port}@{port}")
    program = (sys.executable, "-m", "davylamp.lab.programs.miner", "--dialect", dialect)
    options = ("--pool", f"127.0.0.1:{port}", "--attempts", "3", "--backoff", "0.05", "--tls")
    done = subprocess.run([*program, *options], capture_output=True, timeout=60, check=False)
    assert done.returncode == 3, done.stdout
    assert pool.counts()["complete_requests"] == 0
    summary = mitm.summary()
    assert (summary["stopped"], summary["failures"]) == (3, 0)


def switching(protocol: bytes) -> Callable[[socket.socket, Heard], None]:
    """Return an answer that switches protocols once a request's head is there."""

    def answer(peer: socket.socket, heard: Heard) -> None:
        if heard.data.endswith(b"\r\n\r\n"):
            head = b"HTTP/1.1 101 -\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n" % protocol
            peer.sendall(head)

    return answer


def test_after_101_is_cut(start: Start) -> None:
    """Raw bytes behind an HTTP upgrade are judged as raw bytes are."""
    with RecordingServer(switching(b"stratum")) as server:
        port = free_port()
        mitm = start(f"reverse:http://127.0.0.1:{server.port}@{port}")
        with connect(port) as peer:
            peer.sendall(
                b"GET /mine HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: stratum\r\n\r\n"
            )
            assert b" 101 " in peer.recv(4096)
            peer.sendall(LOGIN + b"\n")
            assert_stopped(mitm, read_to_end(peer), ["tcp", "http"])
        assert wait_until(lambda: server.heard[0].reset)
        assert b"login" not in server.data


def echo(connection: ServerConnection) -> None:
    """Send every message back."""
    for message in connection:
        SEEN.append(message)
        connection.send(message)


SEEN: list[str | bytes] = []


@pytest.fixture(params=["ws", "wss"])
def websocket_server(
    request: pytest.FixtureRequest, server_tls: ssl.SSLContext
) -> Iterator[tuple[str, Server]]:
    """Run a WebSocket echo, in the clear and inside TLS."""
    SEEN.clear()
    tls = server_tls if request.param == "wss" else None
    with serve(echo, "127.0.0.1", 0, ssl=tls) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield request.param, server
        server.shutdown()


@pytest.mark.parametrize("compression", ["deflate", None])
def test_websocket_is_cut(
    start: Start, websocket_server: tuple[str, Server], compression: str | None
) -> None:
    """Messages pass both ways until one of them is a login; that one does not arrive."""
    scheme, server = websocket_server
    port, target = free_port(), server.socket.getsockname()[1]
    mitm = start(f"reverse:{'https' if scheme == 'wss' else 'http'}://127.0.0.1:{target}@{port}")
    tls = blind_tls() if scheme == "wss" else None
    with connect_websocket(
        f"{scheme}://127.0.0.1:{port}/", ssl=tls, compression=compression, proxy=None
    ) as peer:
        peer.send("hello")
        assert peer.recv() == "hello"
        peer.send(LOGIN.decode())
        with pytest.raises(ConnectionClosed):
            peer.recv()
    [alert] = mitm.alerts()
    inner = ["tls", "http", "websocket"] if scheme == "wss" else ["http", "websocket"]
    assert alert["mining"]["layers"] == ["tcp", *inner]
    assert SEEN == ["hello"]


def ok(peer: socket.socket, heard: Heard) -> None:
    """Answer a request whose body is there."""
    if heard.data.endswith((b"}", b"0\r\n\r\n")):
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def test_posted_login_is_cut(start: Start) -> None:
    """A request of known length is judged before any of it, even its head, is sent on."""
    with RecordingServer(ok) as server:
        port = free_port()
        mitm = start(f"reverse:http://127.0.0.1:{server.port}@{port}")
        with connect(port) as peer:
            head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(LOGIN)
            peer.sendall(head + LOGIN)
            assert_stopped(mitm, read_to_end(peer), ["tcp", "http"])
        assert server.data == b""


@pytest.mark.parametrize("whole", [True, False])
def test_streaming_login_is_cut(start: Start, *, whole: bool) -> None:
    """A body in chunks is held where it becomes a login, and cut at its end."""
    with RecordingServer(ok) as server:
        port = free_port()
        mitm = start(f"reverse:http://127.0.0.1:{server.port}@{port}")
        with connect(port) as peer:
            peer.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            for piece in (LOGIN,) if whole else (LOGIN[:40], LOGIN[40:90], LOGIN[90:]):
                peer.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
                time.sleep(0.1)
            assert b"rx/0" not in server.data, "the completing piece did not wait"
            peer.sendall(b"0\r\n\r\n")
            assert_stopped(mitm, read_to_end(peer), ["tcp", "http"])
        assert wait_until(lambda: not server.heard or server.heard[0].reset)
        assert b"rx/0" not in server.data


def test_login_given_up_half_way_is_reported(start: Start) -> None:
    """A client that goes away while its login waits is reported all the same."""
    with RecordingServer(ok) as server:
        port = free_port()
        mitm = start(f"reverse:http://127.0.0.1:{server.port}@{port}")
        with connect(port) as peer:
            peer.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            peer.sendall(b"%x\r\n%s\r\n" % (len(LOGIN), LOGIN))
            time.sleep(0.3)
        [alert] = mitm.alerts()
        assert alert["alert"]["signature_id"] == "cryptonote-login"
        assert b"rx/0" not in server.data


def test_http2_login_is_cut(start: Start, server_tls: ssl.SSLContext) -> None:
    """A login in an HTTP/2 request is judged before it is sent on."""
    with RecordingServer(ok, server_tls) as server:
        port = free_port()
        options = ("connection_strategy=lazy",)
        mitm = start(f"reverse:https://127.0.0.1:{server.port}@{port}", options=options)
        url = f"https://127.0.0.1:{port}/json_rpc"
        argv = ["curl", "-sk", "--http2", "--noproxy", "*", "--data-binary", LOGIN.decode(), url]
        done = subprocess.run(argv, capture_output=True, timeout=30, check=False)
        assert done.returncode not in (0, 2), done
        [alert] = mitm.alerts()
        assert alert["mining"]["layers"] == ["tcp", "tls", "http"]
        assert "h2" in alert["tls"]["alpn"]
        assert b"login" not in server.data


def test_pools_name_in_a_hello_is_cut(start: Start, server_tls: ssl.SSLContext) -> None:
    """A ClientHello with a pool's name gets no answer, and not one byte of it is sent on."""
    with RecordingServer(tls=server_tls) as server:
        port = free_port()
        mitm = start(f"reverse:tcp://127.0.0.1:{server.port}@{port}")
        with pytest.raises(ConnectionResetError), connect(port) as peer:
            blind_tls().wrap_socket(peer, server_hostname="pool.supportxmr.com")
        [alert] = mitm.alerts()
        assert alert["alert"]["category"] == "pool"
        assert alert["tls"]["sni"] == "pool.supportxmr.com"
        assert server.data == b""


def test_ssh_where_it_is_not_expected_is_cut(start: Start) -> None:
    """An SSH banner on an odd port is a tunnel."""
    with RecordingServer() as server:
        port = free_port()
        mitm = start(f"socks5@{port}")
        with through_socks(port, server.port) as peer:
            peer.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
            assert read_to_end(peer).reset
        [alert] = mitm.alerts()
        assert alert["alert"]["category"] == "tunnel"
        assert server.data == b""


def test_pools_job_is_cut(start: Start) -> None:
    """What only a pool says is stopped before the client has it, whoever spoke first."""
    job = (
        b'{"jsonrpc":"2.0","method":"job","params":{"blob":"' + b"0a" * 76 + b'","job_id":"7",'
        b'"target":"b88d0600","height":2900000,"seed_hash":"' + b"ab" * 32 + b'","algo":"rx/0"}}\n'
    )
    with RecordingServer(lambda peer, _: peer.sendall(job)) as server:
        port = free_port()
        mitm = start(f"reverse:tcp://127.0.0.1:{server.port}@{port}")
        with connect(port) as peer:
            peer.sendall(b"anything\n")
            outcome = read_to_end(peer)
        assert outcome == Outcome(b"", reset=True)
        [alert] = mitm.alerts()
        assert alert["mining"]["role"] == "pool"


def test_nothing_is_left_of_what_was_cut(start: Start, pool: Pool) -> None:
    """Connections that were cut leave no socket and no task behind in mitmproxy."""
    port = free_port()
    mitm = start(f"reverse:tcp://127.0.0.1:{pool.port}@{port}")
    before = mitm.sockets()
    for _ in range(20):
        with connect(port) as peer:
            peer.sendall(LOGIN + b"\n")
            assert read_to_end(peer).reset
    assert wait_until(lambda: mitm.sockets() <= before), mitm.sockets()
    assert mitm.summary()["stopped"] == 20
    assert "Traceback" not in mitm.log
    assert "Exception" not in mitm.log


def test_a_hello_counts_with_what_is_said_inside(start: Start, tmp_path: Path, leaf: Leaf) -> None:
    """Neither the name nor the path alone is anything."""
    (tmp_path / "pack" / "one").mkdir(parents=True)
    (tmp_path / "pack" / "pack.yaml").write_text("name: one\nversion: '1'\nformat: 1\n")
    when = "all_of: [{tls: {sni: toy.example}}, {http: {path: /toy/work}}]"
    text = _SHOWN.format("greeted", 95, when)
    (tmp_path / "pack" / "one" / "shown-greeted.yaml").write_text(text)
    options = [f"davylamp_pack={tmp_path / 'pack'}", "ssl_insecure=true"]
    port = free_port()
    mitm = start(f"regular@{port}", options=options)
    context = blind_tls(ssl.TLSVersion.TLSv1_3)
    asked = (
        ("localhost", "/toy/work", True),
        ("toy.example", "/other", True),
        ("toy.example", "/toy/work", False),
    )
    with RecordingServer(tls=leaf.server_context()) as server:
        for name, path, passes in asked:
            raw = through_connect(port, server.port)
            with context.wrap_socket(raw, server_hostname=name) as peer:
                peer.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                if passes:
                    assert wait_until(functools.partial(heard, server, path))
                else:
                    assert read_to_end(peer).data == b""
        assert server.data.count(b"/toy/work") == 1
    (alert,) = mitm.alerts(1)
    assert alert["alert"]["signature_id"] == "shown-greeted"


def heard(server: RecordingServer, path: str) -> bool:
    """Tell whether a server was asked for a path."""
    return path.encode() in server.data


_SHOWN = """\
id: shown-{0}
rev: 1
title: A pool's certificate
category: pool
dialect: made-up
role: pool
confidence: {1}
severity: 2
maturity: stable
detail: a certificate that a made-up pool shows
when:
  {2}
"""


@pytest.mark.parametrize("verified", [False, True])
def test_a_servers_certificate_is_judged_inside_tls_13(
    start: Start, tmp_path: Path, leaf: Leaf, *, verified: bool
) -> None:
    """With what is said, or by its digest before anything is; also where nobody vouches for it."""
    other = self_signed(tmp_path / "other", ["other.example"])
    known = x509.load_pem_x509_certificate(other.chain.read_bytes()).fingerprint(hashes.SHA256())
    (tmp_path / "pack" / "one").mkdir(parents=True)
    (tmp_path / "pack" / "pack.yaml").write_text("name: one\nversion: '1'\nformat: 1\n")
    for name, confidence, when in (
        ("weak", 60, "certificate: {issuer: localhost, self_signed: true}"),
        ("both", 95, "all_of: [{certificate: {name: localhost}}, {http: {path: /toy/work}}]"),
        ("known", 90, f"certificate: {{sha256: {known.hex()}}}"),
    ):
        text = _SHOWN.format(name, confidence, when)
        (tmp_path / "pack" / "one" / f"shown-{name}.yaml").write_text(text)
    options = [f"davylamp_pack={tmp_path / 'pack'}", f"ssl_insecure={str(not verified).lower()}"]
    context = blind_tls(ssl.TLSVersion.TLSv1_3)
    port = free_port()
    mitm = start(f"regular@{port}", options=options)

    def ask(server: RecordingServer, path: str) -> socket.socket:
        peer = context.wrap_socket(through_connect(port, server.port))
        peer.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return peer

    with (
        RecordingServer(tls=leaf.server_context()) as server,
        RecordingServer(tls=other.server_context()) as listed,
    ):
        with ask(server, "/other") as peer:
            if verified:
                assert b" 502 " in peer.recv(100)
            else:
                assert wait_until(lambda: b"/other" in server.data)
        assert read_to_end(ask(server, "/toy/work")).data == b""
        with pytest.raises(OSError, match=r"(?i)reset|EOF"):
            ask(listed, "/other").recv(1)
        assert b"/toy/work" not in server.data + listed.data
        found = [(one["alert"]["signature_id"], one["mining"]["layers"]) for one in mitm.alerts(4)]
    tls = ["tcp", "http", "tls"]
    assert found == [
        *[("shown-weak", tls)] * 2,
        ("shown-both", [*tls, "http"]),
        ("shown-known", tls),
    ]
