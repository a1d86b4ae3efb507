"""Our own load program over real sockets of the loopback."""

import socket
import threading

import pytest

from davylamp.bench import peer


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> str:
    """Serve both services on free ports of the loopback; they end with the test run."""
    for name, serve in (("BULK_PORT", peer.serve_bulk), ("HTTP_PORT", peer.serve_http)):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        monkeypatch.setattr(peer, name, port)
        threading.Thread(target=serve, args=("127.0.0.1",), daemon=True).start()
        _wait(port)
    return "127.0.0.1"


def _wait(port: int) -> None:
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except ConnectionRefusedError:
            threading.Event().wait(0.01)
        else:
            return
    pytest.fail(f"nothing listens on {port}")


@pytest.mark.parametrize("direction", ["up", "down"])
def test_bulk_counts_what_arrived(address: str, direction: str) -> None:
    """Both directions move bytes over every stream, and the receiver's count is reported."""
    told = peer.bulk(address, direction, 0.1, 2)
    assert told["bytes"] > 2 * 131072
    assert told["seconds"] >= 0.1


def test_every_connection_is_answered(address: str) -> None:
    """Each request has a connection of its own, and none is lost at the end of the run."""
    told = peer.connect(address, 0.2, 8)
    assert told["count"] >= 8
    assert told["failed"] == 0
    assert 0 < told["p50"] <= told["p99"] < 10


def test_a_refused_connection_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing listens every try is counted as failed, and the run still ends."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setattr(peer, "HTTP_PORT", free.getsockname()[1])
    told = peer.connect("127.0.0.1", 0.05, 2)
    assert told["count"] == 0
    assert told["failed"] >= 2


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.5, 0.0), ([3.0], 0.99, 3.0), ([1.0, 2.0, 3.0, 4.0], 0.5, 3.0), ([1.0, 2.0], 1.0, 2.0)],
)
def test_percentile(values: list[float], share: float, expected: float) -> None:
    """The value below which that share of an ascending list lies; 0 of nothing."""
    assert peer.percentile(values, share) == expected
