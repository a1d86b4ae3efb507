"""``davylamp top`` on a gateway at work, in a real terminal."""

import fcntl
import json
import os
import pty
import select
import struct
import sys
import termios
import time
from typing import Any

import pytest
from tests.gateway.conftest import Build
from tests.gateway.world import POOL, World, endpoint, wait_until

from davylamp.lab.topology import GATEWAY

pytestmark = pytest.mark.lab


class Terminal:
    """A pseudo-terminal with a program in the gateway's host on it."""

    def __init__(self, world: World, *words: str) -> None:
        self.screen = b""
        self._ours, theirs = pty.openpty()
        self.resize(24, 100)
        environment = {**world.lab.environment(), "TERM": "xterm"}
        self.process = world.lab.popen(
            GATEWAY, words, stdin=theirs, stdout=theirs, stderr=theirs, env=environment
        )
        self.before = termios.tcgetattr(theirs)
        self._theirs = theirs

    def resize(self, lines: int, columns: int) -> None:
        """Make the terminal another size."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def shows(self, text: str, seconds: float = 10.0) -> bool:
        """Wait until that text was written since the last call."""
        until = time.monotonic() + seconds
        while text.encode() not in self.screen and time.monotonic() < until:
            if select.select([self._ours], [], [], 0.1)[0]:
                self.screen += os.read(self._ours, 65536)
        found, _, self.screen = self.screen.partition(text.encode())
        return bool(found or self.screen)

    def press(self, key: str) -> None:
        """Press a key."""
        os.write(self._ours, key.encode())

    def settings(self) -> list[object]:
        """Return how the terminal is set now."""
        return termios.tcgetattr(self._theirs)


def test_a_stopped_miner_is_on_the_screen(build: Build) -> None:
    """Scripts get numbers, a terminal a picture that follows its size and ends with q."""
    world = build(api={"listen": "127.0.0.1:9465"})
    world.pool(3333, families=(4,))
    world.miner("sandbox-1", endpoint(POOL[4], 3333), dialect="cryptonote", attempts=1)
    world.gateway.wait_alerts(bool)
    token = str(world.gateway.directory / "state" / "api" / "read.token")
    top = [sys.executable, "-m", "davylamp", "top", "--token-file", token]

    def told() -> tuple[int, Any]:
        done = world.lab.run(GATEWAY, [*top, "--once", "--json"], capture_output=True, text=True)
        return done.returncode, json.loads(done.stdout)

    assert wait_until(lambda: told()[1]["flows"]["flows"])
    code, look = told()
    assert (code, look["health"]["ok"]) == (0, True)
    assert look["flows"]["flows"][0]["action"] == "reject"
    assert look["queues"]["40"]["limit"] == 8192
    terminal = Terminal(world, *top, "--every", "0.3")
    assert terminal.shows("enforce")
    assert terminal.shows("queue-40")
    assert terminal.shows("8192")
    assert terminal.shows("reject")
    terminal.resize(12, 60)
    assert terminal.shows("davylamp")
    terminal.press("q")
    assert terminal.process.wait(10) == 0
    assert terminal.settings() == terminal.before
