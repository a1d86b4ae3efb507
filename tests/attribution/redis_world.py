"""Redis as its users run it, in real processes on loopback: servers, Sentinels, a Cluster."""

import contextlib
import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import pytest
import redis
from redis.crc import key_slot
from redis.exceptions import RedisError

from davylamp.attribution.server import find_server

SERVICE = "lineage"
SLOT = key_slot(b"{davylamp}:")


def until(holds: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until something holds, while servers may still be unreachable."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(RedisError, OSError):
            if holds():
                return
        time.sleep(0.05)
    raise TimeoutError(f"not within {seconds} s")


def knows_tls(program: Path) -> bool:
    """Tell whether a redis-server was built with TLS: one that was not does not know the word."""
    done = subprocess.run(
        [str(program), "--tls-port", "x"], capture_output=True, timeout=10, check=False
    )
    return b"Bad directive" not in done.stdout + done.stderr


class Server:
    """One redis-server process on a TCP port of its own; stopped at the end whatever happens."""

    def __init__(self, program: Path, directory: Path, *options: str, sentinel: str = "") -> None:
        self.port, self._directory = _own_port(directory)
        self._command = [str(program)]
        if sentinel:
            configuration = self._directory / "sentinel.conf"
            configuration.write_text(sentinel)
            self._command += [str(configuration), "--sentinel"]
        else:
            self._command += ["--save", "", "--repl-diskless-sync-delay", "0"]
        self._command += ["--port", str(self.port), "--bind", "127.0.0.1", *options]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *more: str) -> Self:
        """Start it, and wait until it answers anything at all."""
        log = (self._directory / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [*self._command, *more], cwd=self._directory, stdout=log, stderr=log
            )

        def listens() -> bool:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True

        until(listens)
        return self

    @property
    def pid(self) -> int:
        """The process that runs."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def ask(self, *command: str | int) -> Any:
        """Send one command on a connection of its own."""
        with redis.Redis(port=self.port, decode_responses=True, protocol=2) as client:
            return client.execute_command(*command)


class SentinelWorld:
    """A master, a replica, and three Sentinels that watch them."""

    def __init__(self, program: Path, directory: Path) -> None:
        self.servers = [Server(program, directory) for _ in range(2)]
        master = self.servers[0]
        watch = (
            f"sentinel monitor {SERVICE} 127.0.0.1 {master.port} 2\n"
            f"sentinel down-after-milliseconds {SERVICE} 1000\n"
            f"sentinel failover-timeout {SERVICE} 3000\n"
        )
        self.sentinels = [Server(program, directory, sentinel=watch) for _ in range(3)]

    @property
    def url(self) -> str:
        """The URL of the service."""
        nodes = ",".join(f"127.0.0.1:{one.port}" for one in self.sentinels)
        return f"redis+sentinel://{nodes}/{SERVICE}"

    def start(self) -> None:
        """Start all, and wait until the Sentinels know each other and the replica follows."""
        master, replica = self.servers
        master.start()
        replica.start("--replicaof", "127.0.0.1", str(master.port))
        until(lambda: master.ask("WAIT", 1, 100) == 1)
        for one in self.sentinels:
            one.start()
        for one in self.sentinels:
            until(partial(self._ready, one))

    @staticmethod
    def _ready(sentinel: Server) -> bool:
        told = sentinel.ask("SENTINEL", "master", SERVICE)
        words = dict(zip(told[::2], told[1::2], strict=True))
        return (words["num-other-sentinels"], words["num-slaves"]) == ("2", "1")

    def master(self) -> Server:
        """Return who is the master, as the Sentinels have it."""
        _, port = self.sentinels[0].ask("SENTINEL", "get-master-addr-by-name", SERVICE)
        return next(one for one in self.servers if one.port == int(port))

    def fail_over(self) -> None:
        """Kill the master; when the replica has taken over, start it again as the replica."""
        old = self.master()
        old.kill()
        until(lambda: self.master() is not old and self.master().ask("ROLE")[0] == "master")
        old.start("--replicaof", "127.0.0.1", str(self.master().port))

    def stop(self) -> None:
        """End every process."""
        for one in (*self.sentinels, *self.servers):
            one.kill()


class ClusterWorld:
    """Three masters with a replica each."""

    def __init__(self, program: Path, directory: Path) -> None:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1500")
        self.servers = [Server(program, directory, *options) for _ in range(6)]

    @property
    def url(self) -> str:
        """The URL of the Cluster, by two of its nodes."""
        nodes = ",".join(f"127.0.0.1:{one.port}" for one in self.servers[1:3])
        return f"redis+cluster://{nodes}"

    def start(self) -> None:
        """Start the nodes, and wait until they are one Cluster."""
        for one in self.servers:
            one.start()
        first = self.servers[0]
        for one in self.servers[1:]:
            one.ask("CLUSTER", "MEET", "127.0.0.1", first.port)
        for index, one in enumerate(self.servers[:3]):
            slots = range(16384 * index // 3, 16384 * (index + 1) // 3)
            one.ask("CLUSTER", "ADDSLOTS", *slots)
        for one in self.servers:
            until(partial(self._knows_all, one))
        for master, replica in zip(self.servers[:3], self.servers[3:], strict=True):
            until(partial(replica.ask, "CLUSTER", "REPLICATE", self.id_of(master)))
        for one in self.servers:
            until(partial(self._is_ok, one))
        for master in self.servers[:3]:
            until(partial(master.ask, "WAIT", 1, 100))

    @staticmethod
    def _knows_all(server: Server) -> bool:
        return len(_lines(server.ask("CLUSTER", "NODES"))) == 6

    @staticmethod
    def _is_ok(server: Server) -> bool:
        told = server.ask("CLUSTER", "INFO")
        return "cluster_state:ok" in _lines(told)

    @staticmethod
    def id_of(server: Server) -> str:
        """Return a node's name."""
        return str(server.ask("CLUSTER", "MYID"))

    def master(self) -> Server:
        """Return who holds the slot of lineage, as most nodes that live have it."""
        votes: dict[int, int] = {}
        for one in self.servers:
            with contextlib.suppress(RedisError, OSError):
                for low, high, owner, *_ in one.ask("CLUSTER", "SLOTS"):
                    if low <= SLOT <= high:
                        votes[owner[1]] = votes.get(owner[1], 0) + 1
        port = max(votes, key=lambda each: votes[each])
        return next(one for one in self.servers if one.port == port)

    def fail_over(self) -> None:
        """Kill the holder of lineage; when its replica has taken over, start it again."""
        old = self.master()
        old.kill()
        until(lambda: self.master() is not old and self.master().ask("ROLE")[0] == "master")
        old.start()

    def reshard(self) -> None:
        """Move the slot of lineage to another master, key by key, while it is written to."""
        source = self.master()
        masters = [one for one in self.servers if one.ask("ROLE")[0] == "master"]
        target = next(one for one in masters if one is not source)
        names = self.id_of(source), self.id_of(target)
        target.ask("CLUSTER", "SETSLOT", SLOT, "IMPORTING", names[0])
        source.ask("CLUSTER", "SETSLOT", SLOT, "MIGRATING", names[1])
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", SLOT, 100):
            source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
        for one in (target, source, *masters):
            one.ask("CLUSTER", "SETSLOT", SLOT, "NODE", names[1])

    def stop(self) -> None:
        """End every process."""
        for one in self.servers:
            one.kill()


def running[W: SentinelWorld | ClusterWorld](kind: type[W], directory: Path) -> Iterator[W]:
    """Run one for as long as a fixture lasts, or skip where there is no redis-server."""
    program = find_server()
    if program is None:
        pytest.skip("no redis-server is installed")
    world = kind(program, directory)
    try:
        world.start()
        yield world
    finally:
        world.stop()


def events_of(server: Server, key: str) -> Sequence[str]:
    """Return the lines of the events stream that a server has, oldest first."""
    return [fields["event"] for _, fields in server.ask("XRANGE", key, "-", "+")]


def _lines(text: Any) -> list[str]:
    return str(text).strip().splitlines()


def _own_port(directory: Path) -> tuple[int, Path]:
    """Return a port that no server of a world has, running or not, and its server's directory."""
    while True:
        port = _free_port()
        with contextlib.suppress(FileExistsError):
            (directory / str(port)).mkdir()
            return port, directory / str(port)


def _free_port() -> int:
    """Return a port that is free, and so is the one 10,000 above, a Cluster node's bus.

    Both are below the ports that the kernel gives to those who connect (32,768 and up, unless it
    is told otherwise): of those, any may be somebody's by the time that a server asks for it.
    """
    while True:
        port = random.randrange(11_000, 22_000)
        with contextlib.suppress(OSError), socket.socket() as low, socket.socket() as high:
            low.bind(("127.0.0.1", port))
            high.bind(("127.0.0.1", port + 10_000))
            return port
