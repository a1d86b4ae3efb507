"""The benign services and their client, two processes, and the miner that starts late."""

import hashlib
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from davylamp.lab.programs.certs import Authority


@pytest.fixture
def web(start: Callable[..., Any], tmp_path: Path) -> Any:
    """Return the services on loopback, HTTPS with the lab's own certificate."""
    leaf = Authority.create(tmp_path / "ca").issue(["localhost", "127.0.0.1"])
    binds = ("--bind", "127.0.0.1:0", "--tls-bind", "127.0.0.1:0", "--rpc-bind", "127.0.0.1:0")
    files = ("--cert", leaf.chain, "--key", leaf.key, "--summary", tmp_path / "summary.json")
    return start("web", *binds, *files)


def url(web: Any, scheme: str, path: str = "") -> str:
    """Return a URL of the running services."""
    service = "rpc" if scheme == "tcp" else scheme
    return f"{scheme}://127.0.0.1:{web.ports(service)[0]}{path}"


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("size", [0, 1, (1 << 20) + 1, 30_000_000])
def test_download_is_intact(
    start: Callable[..., Any], web: Any, tmp_path: Path, scheme: str, size: int
) -> None:
    """What arrives has the size asked for and the digest that the server tells."""
    trust = ("--trust", tmp_path / "ca" / "ca.pem")
    client = start("client", "download", url(web, scheme, f"/bytes/{size}"), *trust)
    assert client.wait() == 0
    (done,) = client.events("downloaded")
    assert (done["bytes"], done["intact"]) == (size, True)


def test_an_untrusted_certificate_is_refused(
    start: Callable[..., Any], web: Any, tmp_path: Path
) -> None:
    """Verification is real: another authority's bundle fails, and is not called a reset."""
    other = Authority.create(tmp_path / "other").bundle
    client = start("client", "download", url(web, "https", "/bytes/1"), "--trust", other)
    assert client.wait() == 1
    assert client.events("summary")[0]["outcome"] == "tls_failed"


def test_digest_is_that_of_the_content(web: Any) -> None:
    """/sha256/N agrees with a digest computed here over /bytes/N, on one kept connection."""
    with socket.create_connection(("127.0.0.1", web.ports("http")[0]), timeout=20) as sock:
        stream = sock.makefile("rb")

        def get(path: str) -> bytes:
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            head = b"".join(iter(stream.readline, b"\r\n")).lower()
            size = int(head.partition(b"content-length: ")[2].split()[0])
            return stream.read(size)

        body = get("/bytes/100000")
        assert get("/sha256/100000").strip().decode() == hashlib.sha256(body).hexdigest()
        assert len(set(body)) == 256
        assert get("/nowhere") == b"no such thing\n"


def test_damage_is_noticed(start: Callable[..., Any]) -> None:
    """A body that differs in one byte fails the client's check."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/bytes/3"
        client = start("client", "download", address)
        peer, _ = server.accept()
        with peer:
            for body in (b"abd", hashlib.sha256(b"abc").hexdigest().encode()):
                assert peer.recv(1000)
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            assert client.wait() == 1
    assert client.events("downloaded")[0]["intact"] is False


def test_a_download_cut_short_is_told(start: Callable[..., Any]) -> None:
    """An orderly end before the body's is neither success nor a reset."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/bytes/300"
        client = start("client", "download", address)
        peer, _ = server.accept()
        with peer:
            peer.recv(1000)
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\nonly this")
        assert client.wait() == 1
    assert client.events("closed")


def test_many_connections_at_once(start: Callable[..., Any], web: Any) -> None:
    """Sixty HTTPS connections are held open together and all get intact content."""
    address = url(web, "https", "/bytes/20000")
    client = start("client", "parallel", address, "--count", "60")
    assert client.wait() == 0
    (done,) = client.events("parallel")
    assert (done["opened"], done["good"]) == (60, 60)


@pytest.mark.parametrize("place", [("http", "/rpc"), ("https", "/rpc"), ("tcp", "")])
def test_ordinary_json_rpc(start: Callable[..., Any], web: Any, place: tuple[str, str]) -> None:
    """login, submit, job, subscribe and echo with ordinary members work over HTTP and lines."""
    client = start("client", "rpc", url(web, *place), "--count", "10")
    assert client.wait() == 0
    assert client.events("called")[0]["good"] == 10


@pytest.mark.parametrize("dialect", ["stratum", "cryptonote"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_late_miner(
    start: Callable[..., Any], web: Any, tmp_path: Path, scheme: str, dialect: str
) -> None:
    """After HTTP for a time and a volume, mining begins on the same connection and succeeds."""
    innocent = ("--http-seconds", "0.5", "--http-bytes", "2000000")
    client = start("client", "late", url(web, scheme), *innocent, "--dialect", dialect)
    assert client.wait() == 0
    (turning,) = client.events("turning")
    assert turning["bytes"] >= 2_000_000
    assert turning["seconds"] >= 0.5
    assert len(client.events("connected")) == 1
    counts = json.loads((tmp_path / "summary.json").read_text())
    assert counts["shares_accepted"] == 1
    assert counts["connections"] == 1


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\0" * 1000,
        b"GET\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"y" * 100_000,
    ],
)
def test_nonsense_ends_one_connection(web: Any, nonsense: bytes) -> None:
    """Nonsense costs its sender the connection; the next one is served."""
    port = web.ports("http")[0]
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        try:
            sock.sendall(nonsense)
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1000) == b""
        except ConnectionError:
            pass
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        fields = b"Content-Length: 5\r\nConnection: close\r\n\r\n"
        sock.sendall(b"POST /echo HTTP/1.1\r\n" + fields + b"hello")
        assert sock.makefile("rb").read().endswith(b"\r\n\r\nhello")


def test_term_ends_it_cleanly(web: Any) -> None:
    """SIGTERM ends the services with exit code 0, also with a connection open."""
    with socket.create_connection(("127.0.0.1", web.ports("http")[0]), timeout=20) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert sock.recv(100)
        assert web.stop() == 0
