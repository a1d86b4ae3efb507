"""A CONNECT that is meant for another proxy: honest clients get through it, miners do not."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.addons.conftest import Start
from tests.addons.mitm import LOGIN, SCRIPT, Heard, RecordingServer, connect, free_port, read_to_end

from davylamp_mitm.tunnel import MAX_EARLY

pytestmark = pytest.mark.programs

_ASK = b"CONNECT pool.example:3333 HTTP/1.1\r\nHost: pool.example:3333\r\n\r\n"
_YES = b"HTTP/1.1 200 Connection established\r\n\r\n"
_NO = b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 5\r\n\r\nfirst"
_JOB = (
    b'{"jsonrpc":"2.0","method":"job","params":{"blob":"' + b"0a" * 76 + b'","job_id":"7",'
    b'"target":"b88d0600","height":2900000,"seed_hash":"' + b"ab" * 32 + b'","algo":"rx/0"}}\n'
)


def answering(text: bytes) -> "RecordingServer":
    """Return a server that says this to a request's head."""

    def answer(peer: socket.socket, heard: Heard) -> None:
        if heard.data.endswith(b"\r\n\r\n"):
            peer.sendall(text)

    return RecordingServer(answer)


@pytest.fixture
def proxy() -> Iterator[int]:
    """Run a proxy that wants a password; give its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve(peer: socket.socket) -> None:
            with peer:
                while True:
                    head = b""
                    while b"\r\n\r\n" not in head:
                        if not (piece := peer.recv(4096)):
                            return
                        head += piece
                    if b"proxy-authorization: basic" in head.lower():
                        break
                    peer.sendall(_NO)
                host, port = head.split(b" ")[1].decode().split(":")
                with socket.create_connection((host, int(port))) as behind:
                    peer.sendall(_YES)
                    back = threading.Thread(target=carry, args=(behind, peer), daemon=True)
                    back.start()
                    carry(peer, behind)
                    back.join()

        def accept() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(peer,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def carry(source: socket.socket, sink: socket.socket) -> None:
    """Hand on what comes, and the end."""
    try:
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@pytest.mark.parametrize("tls", [True, False])
def test_curl_gets_through_anothers_proxy(
    start: Start, proxy: int, server_tls: ssl.SSLContext, *, tls: bool
) -> None:
    """Refused once and let in with a password, with TLS in the tunnel and without."""

    def answer(peer: socket.socket, heard: Heard) -> None:
        if heard.data.endswith(b"\r\n\r\n"):
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

    with RecordingServer(answer, server_tls if tls else None) as server:
        port = free_port()
        mitm = start(f"reverse:http://127.0.0.1:{proxy}@{port}")
        url = f"{'https' if tls else 'http'}://127.0.0.1:{server.port}/"
        words = ["curl", "-sS", "--noproxy", "", "--proxy", f"http://127.0.0.1:{port}"]
        words += ["--proxytunnel", "--proxy-anyauth", "--proxy-user", "a:b"]
        words += ["--cacert", str(mitm.ca), "-m", "20", url]
        done = subprocess.run(words, capture_output=True, timeout=30, check=False)
        assert (done.returncode, done.stdout) == (0, b"hello"), done.stderr
        summary = mitm.summary()
        assert [summary.get(name, 0) for name in ("alerts", "stopped", "failures")] == [0, 0, 0]


@pytest.mark.parametrize("again", [False, True])
def test_what_is_said_too_early_waits(start: Start, *, again: bool) -> None:
    """A login in one segment with the request, or with its repetition, is judged all the same."""
    turns = iter([_NO, _YES] if again else [_YES])

    def answer(peer: socket.socket, heard: Heard) -> None:
        if heard.data.endswith(b"\r\n\r\n"):
            peer.sendall(next(turns))

    with RecordingServer(answer) as server:
        port = free_port()
        mitm = start(f"reverse:http://127.0.0.1:{server.port}@{port}")
        with connect(port) as peer:
            if again:
                peer.sendall(_ASK)
                answered = b""
                while len(answered) < len(_NO):
                    answered += peer.recv(4096)
                assert answered == _NO
            peer.sendall(_ASK + LOGIN + b"\n")
            assert read_to_end(peer).reset
        [alert] = mitm.alerts()
        assert alert["mining"]["layers"] == ["tcp", "http"]
        assert server.data == _ASK * (2 if again else 1)


def test_a_job_right_behind_the_answer_is_cut(start: Start) -> None:
    """What a pool says in one segment with the proxy's answer does not reach the client."""
    with answering(_YES + _JOB) as server:
        port = free_port()
        mitm = start(f"reverse:http://127.0.0.1:{server.port}@{port}")
        with connect(port) as peer:
            peer.sendall(_ASK)
            outcome = read_to_end(peer)
        assert outcome.reset
        assert _JOB[:20] not in outcome.data
        [alert] = mitm.alerts()
        assert alert["mining"]["role"] == "pool"


def test_a_job_behind_a_no_is_cut(start: Start) -> None:
    """A server that refuses the tunnel, and then talks like a pool all the same, is not heard."""
    refusal = b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"
    with answering(refusal + _JOB) as server:
        port = free_port()
        mitm = start(f"reverse:http://127.0.0.1:{server.port}@{port}")
        with connect(port) as peer:
            peer.sendall(_ASK)
            outcome = read_to_end(peer)
        assert outcome.reset
        assert _JOB[:20] not in outcome.data
        [alert] = mitm.alerts()
        assert alert["mining"]["role"] == "pool"


def test_a_fault_follows_the_policy(start: Start, tmp_path: Path) -> None:
    """What could not be judged is stopped, in the relay as in a hook."""
    broken = tmp_path / "broken.py"
    broken.write_text(
        "from davylamp_mitm.strand import ByteStrand\n"
        "def fail(*_):\n    raise ZeroDivisionError('nobody foresaw this')\n"
        "ByteStrand.receive = fail\n"
    )
    with answering(_YES) as server:
        port = free_port()
        mode = f"reverse:http://127.0.0.1:{server.port}@{port}"
        mitm = start(mode, scripts=(SCRIPT, broken))
        with connect(port) as peer:
            peer.sendall(_ASK)
            assert read_to_end(peer).reset
        assert server.data == b""
        assert mitm.summary()["failures"] == 1


@pytest.mark.parametrize(
    "said", [_ASK + b"x" * (MAX_EARLY + 1), b"CONNECT " + b"x" * 40_000], ids=["early", "head"]
)
def test_what_never_ends_is_given_up(start: Start, said: bytes) -> None:
    """A head without end, and much said before an answer, end the connection."""
    with RecordingServer() as server:
        port = free_port()
        mitm = start(f"reverse:http://127.0.0.1:{server.port}@{port}")
        with connect(port) as peer:
            peer.sendall(said)
            assert not read_to_end(peer).data
        assert b"xxx" not in server.data
        assert "Traceback" not in mitm.log


def test_any_number_of_interim_answers_is_sent_on(start: Start) -> None:
    """A server that says 'continue' thousands of times at once is relayed, up to its yes and on."""
    said = b"HTTP/1.1 100 \r\n\r\n" * 3000 + _YES + b"hello"
    with answering(said) as server:
        port = free_port()
        mitm = start(f"reverse:http://127.0.0.1:{server.port}@{port}")
        with connect(port) as peer:
            peer.sendall(_ASK)
            heard = b""
            while len(heard) < len(said) and (piece := peer.recv(65_536)):
                heard += piece
        assert heard == said
        assert "Traceback" not in mitm.log


def test_without_end_answered_is_given_up(start: Start) -> None:
    """An answer's head without end ends the connection, and is not kept."""
    with answering(b"HTTP/1.1 200 " + b"x" * 40_000) as server:
        port = free_port()
        mitm = start(f"reverse:http://127.0.0.1:{server.port}@{port}")
        with connect(port) as peer:
            peer.sendall(_ASK)
            assert read_to_end(peer).data == b""
        assert "Traceback" not in mitm.log
