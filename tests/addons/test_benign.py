"""What is no mining crosses mitmproxy undisturbed, in speed-independent terms: whole and flat."""

import hashlib
import json
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import pytest
from tests.addons.conftest import Start
from tests.addons.mitm import (
    LOGIN,
    Heard,
    Mitm,
    RecordingServer,
    blind_tls,
    connect,
    free_port,
    read_to_end,
    through_connect,
)
from websockets.sync.client import connect as connect_websocket
from websockets.sync.server import ServerConnection, serve

pytestmark = pytest.mark.programs

_BLOCK = bytes(range(256)) * 256
_BIG = 200 << 20
_ROOM = 64 << 20


def curl(proxy: int, url: str, *arguments: str) -> bytes:
    """Fetch a URL through the proxy and return the body; fail unless curl is satisfied."""
    argv = ["curl", "-sS", "--noproxy", "", "--proxy", f"http://127.0.0.1:{proxy}", *arguments]
    done = subprocess.run([*argv, url], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def mirror(peer: socket.socket, heard: Heard) -> None:
    """Answer a whole request with its own body."""
    head, separator, body = bytes(heard.data).partition(b"\r\n\r\n")
    if not separator:
        return
    lines = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    length = int(lines[0].partition(b":")[2]) if lines else 0
    if len(body) == length:
        heard.data.clear()
        answer = body or b"hello"
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))


def assert_clean(mitm: Mitm) -> None:
    """Check that nothing was found, stopped or broken."""
    summary = mitm.summary()
    counts = {name: summary.get(name, 0) for name in ("alerts", "stopped", "failures")}
    assert counts == {"alerts": 0, "stopped": 0, "failures": 0}, mitm.log
    assert summary["packets"] > 0


@pytest.mark.parametrize("tls", [False, True])
def test_curl_gets_and_posts(start: Start, server_tls: ssl.SSLContext, *, tls: bool) -> None:
    """GET and POST work through CONNECT and without, with the authority trusted."""
    with RecordingServer(mirror, server_tls if tls else None) as server:
        port = free_port()
        mitm = start(f"regular@{port}")
        url = f"{'https' if tls else 'http'}://127.0.0.1:{server.port}/"
        trust = ("--cacert", str(mitm.ca)) if tls else ()
        assert curl(port, url, *trust) == b"hello"
        posted = b'{"question": "what is mining.subscribe?"}' * 5000
        argument = mitm.directory / "posted"
        argument.write_bytes(posted)
        assert curl(port, url, *trust, "--data-binary", f"@{argument}") == posted
        assert_clean(mitm)


def test_curl_over_http2(start: Start, server_tls: ssl.SSLContext) -> None:
    """An HTTP/2 client gets its answers, a POST's body included."""
    with RecordingServer(mirror, server_tls) as server:
        port = free_port()
        mitm = start(f"regular@{port}", options=("connection_strategy=lazy",))
        url = f"https://127.0.0.1:{server.port}/"
        trust = ("--cacert", str(mitm.ca), "--http2", "-w", " %{http_version}")
        assert curl(port, url, *trust) == b"hello 2"
        assert curl(port, url, *trust, "-d", "[1, 2, 3]") == b"[1, 2, 3] 2"
        assert_clean(mitm)


def test_quoted_stratum_passes(start: Start) -> None:
    """A prompt, a document and a line of a log that quote a login are not one."""
    quoting = json.dumps({"messages": [{"role": "user", "content": LOGIN.decode()}]}).encode()
    lines = b'{"log": "started"}\n' + LOGIN + b"\n"
    with RecordingServer(mirror) as server:
        port = free_port()
        mitm = start(f"regular@{port}")
        url = f"http://127.0.0.1:{server.port}/v1/chat"
        for number, body in enumerate((quoting, lines)):
            file = mitm.directory / f"body-{number}"
            file.write_bytes(body)
            assert curl(port, url, "--data-binary", f"@{file}") == body
        assert_clean(mitm)


def test_json_in_chunks_goes_on(start: Start) -> None:
    """Lines of JSON in a chunked body arrive as they are sent, also where one is like a login."""
    with RecordingServer() as server:
        port = free_port()
        mitm = start(f"reverse:http://127.0.0.1:{server.port}@{port}")
        with connect(port) as peer:
            peer.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            for text in (b'{"event": 1}\n', LOGIN, b'\n{"event": 2}\n'):
                peer.sendall(b"%x\r\n%s\r\n" % (len(text), text))
                deadline = time.monotonic() + 10
                while text not in server.data and time.monotonic() < deadline:
                    time.sleep(0.01)
                assert text in server.data
            peer.sendall(b"0\r\n\r\n")
        assert_clean(mitm)


def test_websocket_echo(start: Start) -> None:
    """Texts, binary messages and large ones come back as they were."""

    def echo(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    with serve(echo, "127.0.0.1", 0, max_size=None) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = free_port()
        target = server.socket.getsockname()[1]
        mitm = start(f"reverse:http://127.0.0.1:{target}@{port}")
        url = f"ws://127.0.0.1:{port}/"
        with connect_websocket(url, proxy=None, max_size=None) as peer:
            messages: list[str | bytes] = ["hello", '{"id": 1}', _BLOCK, "x" * 300_000, "{", "}"]
            for message in messages * 20:
                peer.send(message)
                assert peer.recv() == message
        assert_clean(mitm)
        server.shutdown()


def flood(peer: socket.socket, heard: Heard) -> None:
    """Send a large body, with its length or in chunks, or raw bytes without any head."""
    request = bytes(heard.data)
    if not request.endswith((b"\r\n\r\n", b"go\n")):
        return
    heard.data.clear()
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
    if b"chunked" in request:
        peer.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(_BIG // len(_BLOCK)):
            peer.sendall(b"%x\r\n%s\r\n" % (len(_BLOCK), _BLOCK))
        peer.sendall(b"0\r\n\r\n")
    else:
        if b"go\n" not in request:
            peer.sendall(head + b"Content-Length: %d\r\n\r\n" % _BIG)
        for _ in range(_BIG // len(_BLOCK)):
            peer.sendall(_BLOCK)
    peer.shutdown(socket.SHUT_WR)


def digest_of(peer: socket.socket, *, skip_head: bool) -> tuple[str, int]:
    """Read to the end; return the digest and size of what came, without a response's head."""
    digest, size, head = hashlib.sha256(), 0, b"" if skip_head else None
    while piece := peer.recv(1 << 18):
        if head is not None:
            head += piece
            _, separator, after = head.partition(b"\r\n\r\n")
            if not separator:
                continue
            head, rest = None, after
        else:
            rest = piece
        digest.update(rest)
        size += len(rest)
    return digest.hexdigest(), size


_EXPECTED = hashlib.sha256(_BLOCK * (_BIG // len(_BLOCK))).hexdigest()


@pytest.mark.parametrize("kind", ["length", "raw", "tls"])
def test_large_download_is_whole_and_flat(
    start: Start, server_tls: ssl.SSLContext, kind: str
) -> None:
    """200 MB come through unchanged, and mitmproxy's memory hardly grows."""
    with RecordingServer(flood, server_tls if kind == "tls" else None) as server:
        port = free_port()
        mitm = start(f"regular@{port}")
        peer = through_connect(port, server.port)
        peer.settimeout(60)
        if kind == "tls":
            peer = blind_tls().wrap_socket(peer)
        before = mitm.memory()
        with peer:
            peer.sendall(b"go\n" if kind == "raw" else b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert digest_of(peer, skip_head=kind != "raw") == (_EXPECTED, _BIG)
        assert mitm.memory() - before < _ROOM
        assert_clean(mitm)


def test_large_chunked_download_is_whole_and_flat(start: Start, tmp_path: Path) -> None:
    """A download of unknown length streams too, and is shown only as far as it may matter."""
    with RecordingServer(flood) as server:
        port = free_port()
        mitm = start(f"regular@{port}")
        before = mitm.memory()
        got = tmp_path / "got"
        curl(port, f"http://127.0.0.1:{server.port}/", "-H", "X: chunked", "-o", str(got))
        with got.open("rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == _EXPECTED
        assert mitm.memory() - before < _ROOM
        assert_clean(mitm)
        assert mitm.summary()["bytes"] < _BIG / 10


def test_trusted_name_is_not_opened(start: Start, server_tls: ssl.SSLContext) -> None:
    """TLS to a name under davylamp_pass is the server's own, end to end."""
    with RecordingServer(mirror, server_tls) as server:
        port = free_port()
        mitm = start(f"regular@{port}", options=("davylamp_pass=example.test",))
        for name, opened in (("files.example.test", False), ("other.test", True)):
            with blind_tls().wrap_socket(
                through_connect(port, server.port), server_hostname=name
            ) as peer:
                shown = peer.getpeercert(binary_form=True)
                assert shown is not None
                assert (b"mitmproxy" in shown) == opened
        assert_clean(mitm)


def test_half_closed_stream_is_answered(start: Start) -> None:
    """A client that has said all it will still gets its answer."""
    with RecordingServer(lambda peer, heard: peer.sendall(bytes(heard.data))) as server:
        port = free_port()
        mitm = start(f"reverse:tcp://127.0.0.1:{server.port}@{port}")
        peer = connect(port)
        peer.sendall(b"what is this\n")
        peer.shutdown(socket.SHUT_WR)
        outcome = read_to_end(peer)
        assert (outcome.data, outcome.reset) == (b"what is this\n", False)
        assert_clean(mitm)
