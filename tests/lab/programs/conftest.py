"""Starts the lab's programs as the processes they are, and network namespaces for some."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.lines import whole_lines

DEADLINE = 30.0


@dataclass
class Program:
    """A running program, its stdout in a file."""

    process: subprocess.Popen[bytes]
    output: Path

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """Return the complete JSON lines said so far."""
        return [one for one in whole_lines(self.output) if name is None or one.get("event") == name]

    def ports(self, service: str | None = None) -> list[int]:
        """Return the ports it listens on, in the order they were asked for."""
        (ready, *_) = [one for one in self.events() if one.get("ready")]
        found = ready["listening"]
        return [one["port"] for one in found if service in {None, one["service"]}]

    def wait(self) -> int:
        """Return the exit code once it has ended by itself."""
        return self.process.wait(DEADLINE)

    def stop(self) -> int:
        """Ask it to end and return the exit code."""
        self.process.terminate()
        return self.process.wait(DEADLINE)


def eventually(condition: Callable[[], Any]) -> Any:
    """Return the condition's first true value; fail when the deadline passes."""
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        if value := condition():
            return value
        time.sleep(0.02)
    return pytest.fail("it did not happen in time")


@pytest.fixture(name="eventually")
def eventually_fixture() -> Callable[[Callable[[], Any]], Any]:
    """Give the test ``eventually``."""
    return eventually


type Start = Callable[..., Program]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start ``davylamp.lab.programs.NAME``; ``prefix`` may put it in a namespace."""
    running: list[Program] = []

    def begin(
        name: str, *arguments: object, prefix: Sequence[str] = (), stdin: bytes | None = None
    ) -> Program:
        number = len(running)
        output = tmp_path / f"{number}-{name}.jsonl"
        given = tmp_path / f"{number}-{name}.stdin"
        given.write_bytes(stdin or b"")
        command = [*prefix, sys.executable, "-m", f"davylamp.lab.programs.{name}"]
        with output.open("wb") as out, given.open("rb") as into:
            process = subprocess.Popen([*command, *map(str, arguments)], stdin=into, stdout=out)
        program = Program(process, output)
        running.append(program)
        eventually(lambda: program.events() or process.poll() is not None)
        return program

    yield begin
    for program in running:
        if program.process.poll() is None:
            program.process.kill()
            program.process.wait()


@dataclass(frozen=True)
class Pair:
    """Two hosts on one wire."""

    near: tuple[str, ...]
    far: tuple[str, ...]


@pytest.fixture(scope="session")
def pair() -> Iterator[Pair]:
    """Two namespaces joined by a veth: near 10.9.0.1 and fd09::1, far 10.9.0.2 and fd09::2."""
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("nft") is None:
        pytest.skip("needs root, ip and nft to make network namespaces")
    names = [f"dl-prog-{os.getpid()}-{end}" for end in ("near", "far")]

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True)

    try:
        for name in names:
            ip("netns", "add", name)
        peer = ("type", "veth", "peer", "name", "wire", "netns", names[1])
        ip("link", "add", "wire", "netns", names[0], *peer)
        for number, name in enumerate(names, 1):
            ip("-n", name, "addr", "add", f"10.9.0.{number}/24", "dev", "wire")
            ip("-n", name, "addr", "add", f"fd09::{number}/64", "dev", "wire", "nodad")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", "wire", "up")
        near, far = (("ip", "netns", "exec", name) for name in names)
        yield Pair(near, far)
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False)
