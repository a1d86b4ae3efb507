"""The miner and the pool, two processes: shares are mined, accepted, and misfortune is told."""

import contextlib
import itertools
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

DIALECTS = ("stratum", "cryptonote")
QUICK = ("--shares", "2", "--share-interval", "0.05", "--seconds", "60")


@pytest.fixture
def pool(start: Callable[..., Any], tmp_path: Path) -> Any:
    """Return a pool on IPv4, IPv6 and a port for TLS only, with quick shares."""
    quick = ("--difficulty", "1e-6", "--summary", tmp_path / "summary.json")
    binds = ("--bind", "127.0.0.1:0", "--bind", "[::1]:0", "--tls-bind", "127.0.0.1:0")
    return start("pool", *binds, *quick)


def counts(folder: Path) -> dict[str, int]:
    """Return the pool's summary."""
    found: dict[str, int] = json.loads((folder / "summary.json").read_text())
    return found


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("wire", ["whole", "bytewise", "two-in-one", "halves", "late-newline"])
def test_shares_are_accepted(
    start: Callable[..., Any], pool: Any, tmp_path: Path, dialect: str, wire: str
) -> None:
    """However the bytes are cut, the pool accepts what was mined and both count the same."""
    address = f"127.0.0.1:{pool.ports()[0]}"
    cut = ("--wire", wire, "--gap", "0.0005")
    miner = start("miner", "--pool", address, "--dialect", dialect, *cut, *QUICK)
    assert miner.wait() == 0
    (summary,) = miner.events("summary")
    assert (summary["shares_accepted"], summary["shares_rejected"]) == (2, 0)
    assert counts(tmp_path)["shares_accepted"] == 2
    # configure, subscribe, authorize and two submits; login and two submits (and one keepalived).
    usual = 5 if dialect == "stratum" else 4 if wire == "two-in-one" else 3
    assert counts(tmp_path)["terminated_requests"] == usual


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("port", [0, 2], ids=["told-apart", "tls-only"])
def test_shares_are_accepted_over_tls(
    start: Callable[..., Any], pool: Any, tmp_path: Path, dialect: str, version: str, port: int
) -> None:
    """Both dialects work inside TLS 1.2 and 1.3, without SNI as XMRig does."""
    url = f"stratum+ssl://127.0.0.1:{pool.ports()[port]}"
    chosen = ("--dialect", dialect, "--tls-version", version)
    miner = start("miner", "--pool", url, *chosen, *QUICK)
    assert miner.wait() == 0
    assert miner.events("connected")[0]["tls"] == f"TLSv{version}"
    assert counts(tmp_path)["tls_handshakes"] == 1
    assert pool.events("tls")[0]["server_name"] is None


def test_sni_is_sent_when_asked(start: Callable[..., Any], pool: Any) -> None:
    """--sni names the pool in the ClientHello."""
    address = f"127.0.0.1:{pool.ports()[0]}"
    miner = start("miner", "--pool", address, "--tls", "--sni", "pool.example", *QUICK)
    assert miner.wait() == 0
    assert pool.events("tls")[0]["server_name"] == "pool.example"


def test_ipv6(start: Callable[..., Any], pool: Any) -> None:
    """A pool on IPv6 is written in brackets and mined at."""
    miner = start("miner", "--pool", f"[::1]:{pool.ports()[1]}", *QUICK)
    assert miner.wait() == 0


def test_keepalive_and_new_jobs(start: Callable[..., Any]) -> None:
    """Keepalived requests are answered and new jobs taken up while mining goes on."""
    pool = start("pool", "--bind", "127.0.0.1:0", "--job-interval", "0.2")
    lively = ("--keepalive", "0.2", "--shares", "4", "--share-interval", "0.3")
    address = f"127.0.0.1:{pool.ports()[0]}"
    miner = start("miner", "--pool", address, "--dialect", "cryptonote", *lively)
    assert miner.wait() == 0
    assert miner.events("share_rejected") == []
    assert any("KEEPALIVED" in one["text"] for one in miner.events("received"))
    assert any('"method":"job"' in one["text"] for one in miner.events("received"))


def test_unterminated_requests_get_nothing(
    start: Callable[..., Any], pool: Any, tmp_path: Path
) -> None:
    """Without newlines the pool sees a whole request but does nothing: silence, exit 3."""
    address = f"127.0.0.1:{pool.ports()[0]}"
    limits = ("--attempts", "1", "--patience", "0.5")
    miner = start("miner", "--pool", address, "--wire", "no-newline", *limits)
    assert miner.wait() == 3
    assert miner.events("summary")[0]["outcomes"] == ["timed_out"]
    found = counts(tmp_path)
    assert (found["complete_requests"], found["terminated_requests"]) == (1, 0)


@contextlib.contextmanager
def cutting(times: float) -> Iterator[int]:
    """Yield the port of a server that resets its first connections as soon as they speak."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def run() -> None:
            for _ in itertools.takewhile(lambda number: number < times, itertools.count()):
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                with peer:
                    peer.recv(1)
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_resets_are_told_with_their_number(start: Callable[..., Any]) -> None:
    """A miner that is reset every time says so each time, with errno and time, and exits 3."""
    with cutting(float("inf")) as port:
        tries = ("--attempts", "3", "--backoff", "0.01")
        miner = start("miner", "--pool", f"127.0.0.1:{port}", *tries)
        assert miner.wait() == 3
    resets = miner.events("reset")
    assert [one["errno"] for one in resets] == [104, 104, 104]
    assert [one["phase"] for one in resets] == ["unanswered"] * 3
    for connected, reset in zip(miner.events("connected"), resets, strict=True):
        assert reset["monotonic"] >= connected["monotonic"]
    assert miner.events("summary")[0]["outcomes"] == ["reset"] * 3


def test_another_pool_is_tried(start: Callable[..., Any], pool: Any) -> None:
    """After a reset the next pool of the list is tried, and its share makes the run a success."""
    with cutting(1) as port:
        pools = ("--pool", f"127.0.0.1:{port}", "--pool", f"127.0.0.1:{pool.ports()[0]}")
        miner = start("miner", *pools, "--backoff", "0.01", *QUICK)
        assert miner.wait() == 0
    assert miner.events("summary")[0]["outcomes"] == ["reset", "finished"]


def test_a_refused_connection_is_told(start: Callable[..., Any]) -> None:
    """A port where nobody listens is a refusal, exit 3."""
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unheard.getsockname()[1]}"
        miner = start("miner", "--pool", address, "--attempts", "2", "--backoff", "0.01")
        assert miner.wait() == 3
    assert miner.events("summary")[0]["outcomes"] == ["refused", "refused"]


def test_the_run_is_bounded(start: Callable[..., Any]) -> None:
    """A peer that never answers holds the miner no longer than --seconds."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        miner = start("miner", "--pool", address, "--seconds", "0.5")
        assert miner.wait() == 3
    assert miner.events("time_is_up")


def test_unmet_shares_are_no_success(start: Callable[..., Any]) -> None:
    """Against a pool whose shares are out of reach the hash budget ends the run with exit 1."""
    pool = start("pool", "--bind", "127.0.0.1:0", "--difficulty", "1000")
    address = f"127.0.0.1:{pool.ports()[0]}"
    miner = start("miner", "--pool", address, "--hashes", "20000")
    assert miner.wait() == 1
    assert miner.events("summary")[0]["outcomes"] == ["finished"]


def test_term_ends_it_with_a_summary(start: Callable[..., Any], eventually: Any, pool: Any) -> None:
    """SIGTERM stops a miner at work; it still says how it went."""
    miner = start("miner", "--pool", f"127.0.0.1:{pool.ports()[0]}", "--shares", "0")
    eventually(lambda: miner.events("share_accepted"))
    assert miner.stop() == 0
    assert miner.events("summary")[0]["shares_accepted"] >= 1
