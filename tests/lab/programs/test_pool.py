"""The pool on real sockets: what it counts, records and says."""

import base64
import json
import socket
import ssl
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.lines import whole_lines

SUBSCRIBE = b'{"id":1,"method":"mining.subscribe","params":["cgminer/4.12.1"]}\n'
LOGIN = b'{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"4","pass":"x"}}\n'


class Pool:
    """A running pool and its two files."""

    def __init__(self, start: Callable[..., Any], folder: Path, *more: object) -> None:
        self.record, self.summary = folder / "record.jsonl", folder / "summary.json"
        files = ("--record", self.record, "--summary", self.summary)
        self.program = start("pool", "--bind", "127.0.0.1:0", *files, *more)
        self.port = self.program.ports()[0]

    def connect(self, port: int | None = None) -> socket.socket:
        """Return a connected socket that sends each write at once."""
        sock = socket.create_connection(("127.0.0.1", port or self.port), timeout=20)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    @property
    def counts(self) -> dict[str, int]:
        """The summary file's content."""
        found: dict[str, int] = json.loads(self.summary.read_text())
        return found

    def lines(self) -> list[dict[str, Any]]:
        """Return the record's complete lines."""
        return whole_lines(self.record)

    def bytes_of(self, direction: str, layer: str = "wire") -> bytes:
        """Return every recorded byte of a direction, joined."""
        return b"".join(
            base64.b64decode(line["base64"])
            for line in self.lines()
            if line.get("direction") == direction and line["layer"] == layer
        )


@pytest.fixture
def pool(start: Callable[..., Any], tmp_path: Path) -> Pool:
    """Return a pool on one port of loopback."""
    return Pool(start, tmp_path)


@pytest.mark.parametrize("line", [SUBSCRIBE, LOGIN], ids=["stratum", "cryptonote"])
def test_byte_by_byte_counts_once(pool: Pool, eventually: Any, line: bytes) -> None:
    """A request sent byte by byte is one complete request, and every byte is on record."""
    with pool.connect() as sock:
        for at in range(len(line) - 1):
            sock.sendall(line[at : at + 1])
        eventually(lambda: pool.counts["bytes_received"] == len(line) - 1)
        assert pool.counts["complete_requests"] == 1
        assert pool.counts["unterminated_requests"] == 1
        sock.sendall(b"\n")
        assert json.loads(sock.makefile("rb").readline())["id"] == 1
    counts = eventually(lambda: pool.counts if not pool.counts["open_connections"] else None)
    assert counts["complete_requests"] == counts["terminated_requests"] == 1
    assert counts["connections"] == 1
    assert pool.bytes_of("received") == line
    assert pool.bytes_of("sent").endswith(b"\n")


def test_an_unfinished_request_is_none(pool: Pool, eventually: Any) -> None:
    """A request that lacks its last brace is bytes, not a request."""
    with pool.connect() as sock:
        sock.sendall(SUBSCRIBE[:-2])
        eventually(lambda: pool.counts["bytes_received"] == len(SUBSCRIBE) - 2)
    eventually(lambda: not pool.counts["open_connections"])
    assert pool.counts["complete_requests"] == 0


def test_record_tells_connect_eof_and_reset(pool: Pool, eventually: Any) -> None:
    """The record has each connection's peer, port and manner of ending, with times."""
    with pool.connect() as sock:
        local = "{}:{}".format(*sock.getsockname())
        sock.sendall(b"{")
    eventually(lambda: [one for one in pool.lines() if one["event"] == "close"])
    with pool.connect() as sock:
        sock.sendall(b"{")
        eventually(lambda: pool.counts["bytes_received"] == 2)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    eventually(lambda: pool.counts["resets"] == 1)
    lines = pool.lines()
    said = [(line["connection"], line["event"]) for line in lines]
    assert said == [
        (1, "connect"),
        (1, "bytes"),
        (1, "eof"),
        (1, "close"),
        (2, "connect"),
        (2, "bytes"),
        (2, "reset"),
    ]
    assert {line["port"] for line in lines} == {pool.port}
    assert lines[0]["peer"] == local
    assert [line["monotonic"] for line in lines] == sorted(line["monotonic"] for line in lines)


def test_tls_is_told_by_its_first_byte(pool: Pool, eventually: Any) -> None:
    """One port speaks TLS and plain; the record holds ciphertext and plaintext of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(pool.connect(), server_hostname="pool.example") as sock:
        sock.sendall(LOGIN)
        assert json.loads(sock.recv(65536))["result"]["status"] == "OK"
    with pool.connect() as plain:
        plain.sendall(SUBSCRIBE)
        assert json.loads(plain.makefile("rb").readline())["id"] == 1
    counts = eventually(lambda: pool.counts if not pool.counts["open_connections"] else None)
    assert (counts["tls_handshakes"], counts["complete_requests"]) == (1, 2)
    assert pool.bytes_of("received", "tls") == LOGIN
    assert pool.bytes_of("received")[0] == 0x16
    (tls,) = [line for line in pool.lines() if line["event"] == "tls"]
    assert tls["server_name"] == "pool.example"


def test_garbage_as_tls_ends_the_connection(pool: Pool, eventually: Any) -> None:
    """A first byte of TLS with no TLS after it closes that connection, not the pool."""
    with pool.connect() as sock:
        sock.sendall(b"\x16" + b"nonsense" * 20)
        while sock.recv(100):
            pass
    eventually(lambda: [one for one in pool.lines() if one["event"] == "tls_error"])
    with pool.connect() as sock:
        sock.sendall(SUBSCRIBE)
        assert sock.recv(10)


def test_push_first(start: Callable[..., Any], tmp_path: Path) -> None:
    """With --push-first the client reads a job before it has sent a byte."""
    pool = Pool(start, tmp_path, "--push-first", "cryptonote")
    with pool.connect() as sock:
        assert json.loads(sock.makefile("rb").readline())["method"] == "job"
    assert pool.counts["bytes_received"] == 0


def test_new_jobs_come_by_themselves(start: Callable[..., Any], tmp_path: Path) -> None:
    """A subscribed miner is notified of a new job at the interval."""
    pool = Pool(start, tmp_path, "--job-interval", "0.1")
    with pool.connect() as sock, sock.makefile("rb") as lines:
        sock.sendall(SUBSCRIBE)
        methods = [json.loads(next(lines)).get("method") for _ in range(5)]
    assert methods == [None, *["mining.set_difficulty", "mining.notify"] * 2]


def test_endless_line_is_cut_off(pool: Pool) -> None:
    """A peer that never ends its line loses its connection."""
    with pool.connect() as sock, pytest.raises(OSError, match=r"reset|pipe"):
        sock.sendall(b"x" * 64_000_000)


def test_term_ends_it_cleanly(pool: Pool) -> None:
    """SIGTERM cuts open connections, writes the last summary and exits 0."""
    with pool.connect() as sock:
        sock.sendall(SUBSCRIBE)
        sock.recv(10)
        assert pool.program.stop() == 0
    assert pool.counts["open_connections"] == 0
    assert pool.counts["complete_requests"] == 1


def test_a_taken_address_is_said(pool: Pool, start: Callable[..., Any]) -> None:
    """An address that cannot be had is one line on stderr and exit code 2."""
    other = start("pool", "--bind", f"127.0.0.1:{pool.port}")
    assert other.wait() == 2
    assert other.events() == []
