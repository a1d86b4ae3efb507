"""A Docker engine of a test's own: real, private, and gone whole with the test.

It lives in network, mount and process namespaces of its own, so its bridges, mounts and containers
end when their first process does. Its image is one static busybox.
"""

import http.client
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlencode

IMAGE = "davylamp-test:1"
TRAIN, BRIDGE, SUBNET = "train", "br-train", "10.89.0.0/24"
_PROGRAMS = ("dockerd", "containerd", "runc", "unshare", "nsenter")
_APPLETS = ("sh", "sleep", "nc", "ip", "ping", "printf", "cat")
# The first process: it reaps whatever is orphaned, and outlives a crash of all the others.
_INIT = """import signal
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
while True: signal.pause()"""
_API = "/v1.40"


def why_not() -> str:
    """Return why no engine can be run here, or ''."""
    if os.geteuid() != 0:
        return "a Docker engine needs root"
    if missing := [each for each in _PROGRAMS if shutil.which(each) is None]:
        return f"no {', '.join(missing)} installed (docker.io)"
    if not Path("/bin/busybox").exists():
        return "no busybox installed (busybox-static)"
    tried = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"], check=False)
    return "" if tried.returncode == 0 else "this machine allows no namespaces"


class RefusedError(Exception):
    """The engine answered with an error, or it did not start."""


@dataclass
class Dockerd:
    """The engine; ``url`` is where it listens.

    With ``filters`` it writes the packet filter rules that an engine writes by default: it keeps
    its networks apart and translates what leaves them.
    """

    directory: Path
    filters: bool = False
    _holder: subprocess.Popen[bytes] | None = None
    _daemon: subprocess.Popen[bytes] | None = None
    _init: int = 0
    networks: dict[str, str] = field(default_factory=dict)

    @property
    def socket(self) -> Path:
        """The engine's Unix socket."""
        return self.directory / "docker.sock"

    @property
    def url(self) -> str:
        """The engine's address."""
        return f"unix://{self.socket}"

    @property
    def _group(self) -> str:
        return f"davylamp-test-{os.getpid()}-{self._init}"

    def create(self) -> Self:
        """Make the namespaces, start the engine in them, and give it an image and a network."""
        self.directory.mkdir(parents=True, exist_ok=True)
        own = ("--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
        self._holder = subprocess.Popen(
            ["unshare", *own, sys.executable, "-c", _INIT], start_new_session=True
        )
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children")
        _until(lambda: children.read_text().split())
        self._init = int(children.read_text().split()[0])
        _until(lambda: b"SIG_IGN" in Path(f"/proc/{self._init}/cmdline").read_bytes())
        self.enter("ip", "link", "set", "lo", "up")
        self.start()
        self.ask("POST", "/images/create", {"fromSrc": "-", **_name(IMAGE)}, raw=_busybox())
        self.network(TRAIN, BRIDGE, SUBNET)
        return self

    def start(self) -> None:
        """Start the engine; raise RefusedError with its last words if it ends at once."""
        log = self.directory / "log"
        own = {"data-root": "data", "exec-root": "exec", "pidfile": "pid"}
        command = [
            *("nsenter", "-t", str(self._init), "-n", "-m", "-p", f"--wd={self.directory}"),
            *("dockerd", "-H", self.url),
            *(f"--{option}={self.directory / name}" for option, name in own.items()),
            *(() if self.filters else ("--iptables=false", "--ip-masq=false")),
            *("--bridge=none", "--ip6tables=false"),
            *("--userland-proxy=false", f"--cgroup-parent=/{self._group}"),
        ]
        with log.open("ab") as out:
            self._daemon = subprocess.Popen(
                command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True
            )

        def answers() -> bool:
            assert self._daemon is not None
            if self._daemon.poll() is not None:
                raise RefusedError(log.read_text()[-400:])
            try:
                return self.ask("GET", "/_ping") is not None
            except (OSError, http.client.HTTPException):
                return False

        _until(answers, 60.0)

    def kill(self) -> None:
        """End the engine and every container at once, as a crash of the host would."""
        assert self._daemon is not None
        kill = ["nsenter", "-t", str(self._init), "-p", "-m", "sh", "-c", "kill -9 -1"]
        subprocess.run(kill, check=False)
        self._daemon.wait(30)

    def stop(self) -> None:
        """Have the engine end as it does when it is told to; containers are killed by it."""
        for one in self.ask("GET", "/containers/json"):
            self.ask("POST", f"/containers/{one['Id']}/kill")
        self._end(signal.SIGTERM)

    def close(self) -> None:
        """End everything, and leave nothing behind."""
        if self._daemon is not None and self._daemon.poll() is None:
            for one in self.ask("GET", "/containers/json", {"all": "1"}):
                self.ask("DELETE", f"/containers/{one['Id']}", {"force": "1"})
            self._end(signal.SIGTERM)
        if self._holder is not None:
            os.killpg(self._holder.pid, signal.SIGKILL)
            self._holder.wait(10)
        for root in Path("/sys/fs/cgroup").glob(f"**/{self._group}"):
            for group in sorted((each for each in root.rglob("*") if each.is_dir()), reverse=True):
                group.rmdir()
            root.rmdir()
        shutil.rmtree(self.directory, ignore_errors=True)

    def enter(self, *words: str, seconds: float = 30.0) -> str:
        """Run a program in the engine's network; return what it says."""
        done = subprocess.run(
            self.inside(words), capture_output=True, text=True, timeout=seconds, check=True
        )
        return done.stdout

    def inside(self, words: Sequence[str]) -> list[str]:
        """Return the command that runs a program in the engine's network."""
        return ["nsenter", "-t", str(self._init), "-n", *words]

    # -- the API, as plainly as it goes -------------------------------------------------------

    def ask(
        self, method: str, path: str, query: dict[str, str] | None = None, raw: Any = None
    ) -> Any:
        """Send one request; return the JSON or text of the answer; raise RefusedError otherwise."""
        connection = _Connection(self.socket)
        body = raw if isinstance(raw, bytes) or raw is None else json.dumps(raw).encode()
        kind = "application/x-tar" if isinstance(raw, bytes) else "application/json"
        tail = "?" + urlencode(query) if query else ""
        try:
            connection.request(method, _API + path + tail, body, {"Content-Type": kind})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status >= 400:
            raise RefusedError(f"{method} {path}: {answer.status} {text}")
        try:
            return json.loads(text)
        except ValueError:
            return text

    def network(self, name: str, bridge: str, *subnets: str) -> None:
        """Make a network with a bridge of that name, and IPv6 if a subnet is of that."""
        made = self.ask(
            "POST",
            "/networks/create",
            raw={
                "Name": name,
                "Driver": "bridge",
                "EnableIPv6": any(":" in each for each in subnets),
                "IPAM": {"Config": [{"Subnet": each} for each in subnets]},
                "Options": {"com.docker.network.bridge.name": bridge},
            },
        )
        self.networks[name] = made["Id"]

    def make(
        self,
        name: str,
        *command: str,
        ip: str = "",
        network: str = TRAIN,
        labels: dict[str, str] | None = None,
        env: Sequence[str] = (),
    ) -> str:
        """Create a container, at an address where one is given; return its id."""
        place = {"IPAMConfig": {"IPv4Address": ip}} if ip else {}
        made = self.ask(
            "POST",
            "/containers/create",
            {"name": name},
            raw={
                "Image": IMAGE,
                "Cmd": list(command or ("sleep", "100000")),
                "Labels": labels or {},
                "Env": list(env),
                "HostConfig": {"NetworkMode": network, "Init": False},
                "NetworkingConfig": {"EndpointsConfig": {network: place}},
            },
        )
        return str(made["Id"])

    def run(self, name: str, *command: str, **options: Any) -> str:
        """Create a container and start it; return its id."""
        made = self.make(name, *command, **options)
        self.act(made, "start")
        return made

    def act(self, container: str, action: str, **query: str) -> None:
        """Start, kill, restart, pause … a container."""
        self.ask("POST", f"/containers/{container}/{action}", query)

    def remove(self, container: str) -> None:
        """Kill a container and remove it."""
        self.ask("DELETE", f"/containers/{container}", {"force": "1"})

    def address(self, container: str, network: str = TRAIN) -> str:
        """Return the address of a container that runs."""
        found = self.ask("GET", f"/containers/{container}/json")
        return str(found["NetworkSettings"]["Networks"][network]["IPAddress"])

    def execute(self, container: str, *words: str) -> None:
        """Begin a program in a container."""
        made = self.ask("POST", f"/containers/{container}/exec", raw={"Cmd": list(words)})
        self.ask("POST", f"/exec/{made['Id']}/start", raw={"Detach": True})

    def _end(self, number: signal.Signals) -> None:
        assert self._daemon is not None
        pid = self._daemon.pid
        inner = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for one in inner or [str(pid)]:  # nsenter forks where it enters a process namespace
            os.kill(int(one), number)
        self._daemon.wait(30)


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("docker", timeout=30)
        self._path = str(path)

    def connect(self) -> None:
        """Connect to the socket instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _name(image: str) -> dict[str, str]:
    repository, _, tag = image.partition(":")
    return {"repo": quote(repository), "tag": tag}


def _busybox() -> bytes:
    """Return a root file system with busybox alone, as an archive."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        archive.add("/bin/busybox", "bin/busybox", recursive=False)
        for name in _APPLETS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
        for name in ("tmp", "etc", "proc", "sys", "dev"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(folder)
    return held.getvalue()


def _until(true: Any, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise RefusedError("the engine did not become ready")
        time.sleep(0.02)
