"""What a family's program needs on stage: programs, their versions, ports, and a recording.

A family runs inside its own network, process and mount namespace (``run.py`` makes them), in an
empty directory, under the interpreter of its own environment.
"""

import importlib.metadata
import json
import os
import platform
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from capture import RecordingError, captured

_WAIT = 60.0  # seconds for a program to listen: Java it is not, but a notebook server is no feather
OUTPUT = Path(os.environ.get("NEAR_MISSES_OUTPUT", "."))
ENVIRONMENT = Path(os.environ.get("NEAR_MISSES_ENVIRONMENT", "."))


@contextmanager
def recorded(name: str, *, software: Sequence[str], does: str, near: str) -> Iterator[None]:
    """Record what is said while entered as NAME.pcap, with its entry of the manifest beside it.

    ``software`` names each program with its exact version, ``does`` says what they do together and
    ``near`` what in it resembles mining.
    """
    print(f"  {name}", flush=True)
    with captured(OUTPUT / f"{name}.pcap"):
        yield
    entry = {"name": name, "software": list(software), "does": does, "near": near}
    (OUTPUT / f"{name}.json").write_text(json.dumps(entry))


def pypi(name: str) -> str:
    """Name a distribution of this interpreter's environment with its version."""
    return f"{name} {importlib.metadata.version(name)} (PyPI)"


def npm(name: str) -> str:
    """Name a package of the environment's node_modules with its version."""
    package = json.loads((node_modules() / name / "package.json").read_text())
    return f"{name} {package['version']} (npm)"


def debian(name: str) -> str:
    """Name a Debian package with its version: the environment's own, else the machine's."""
    noted = ENVIRONMENT / "debian" / "versions" / name
    if noted.exists():
        return f"{name} {noted.read_text().strip()} (Debian)"
    argv = ["dpkg-query", "-W", "-f", "${Version}", name]
    return f"{name} {subprocess.check_output(argv, text=True).strip()} (Debian)"


def python() -> str:
    """Name the interpreter with its version: its standard library is a peer too."""
    return f"CPython {platform.python_version()}"


def node() -> str:
    """Name the Node.js with its version."""
    return f"Node.js {subprocess.check_output(['node', '--version'], text=True).strip()[1:]}"


def node_modules() -> Path:
    """Return the environment's folder of npm packages."""
    return ENVIRONMENT / "node_modules"


@contextmanager
def program(
    argv: Sequence[str | Path],
    *,
    port: int | None = None,
    variables: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program while entered; wait until it listens on ``port`` first, if one is given.

    Its output goes to a file that is shown if it ends before it listens.
    """
    log = Path(f"{Path(argv[0]).name}-{time.monotonic_ns()}.log")
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(word) for word in argv],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(variables or {})},
        )
    try:
        if port is not None:
            try:
                wait_for(lambda: listening(port) or process.poll() is not None)
            except TimeoutError:
                process.kill()
            if process.poll() is not None:
                raise RecordingError(f"{argv[0]} does not listen on {port}: {log.read_text()}")
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def serving(serve: Callable[[], object], port: int) -> Iterator[None]:
    """Run a server of this process in a thread that ends with the process."""
    threading.Thread(target=serve, daemon=True).start()
    wait_for(lambda: listening(port))
    yield


def run(argv: Sequence[str | Path], *, stdin: bytes = b"", cwd: Path | None = None) -> bytes:
    """Run a program to its end and return what it printed; raise if it fails."""
    done = subprocess.run(
        [str(word) for word in argv], input=stdin, capture_output=True, check=False, cwd=cwd
    )
    if done.returncode:
        said = (done.stdout + done.stderr).decode(errors="replace")
        raise RecordingError(f"{argv[0]} ended with {done.returncode}: {said}")
    return done.stdout


def listening(port: int) -> bool:
    """Say whether something listens on a TCP port, without a connection that would be recorded."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                return True
    return False


def wait_for(holds: Callable[[], bool], seconds: float = _WAIT) -> None:
    """Wait until something holds; raise TimeoutError if it does not in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError("what a family waits for did not come")
        time.sleep(0.02)
