"""Load between a sandbox and the outside host: real tools where installed, ours where not.

Everything runs in the lab's namespaces; the caller's own network is not touched.
"""

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from davylamp.bench.output import (
    Bulk,
    Requests,
    parse_iperf3,
    parse_own_bulk,
    parse_own_requests,
    parse_wrk,
)
from davylamp.errors import KernelError
from davylamp.lab import Lab
from davylamp.lab.topology import OUTSIDE, SITES

SANDBOX = "sandbox-1"
STREAMS = 2
CONNECTIONS = 64
_BULK_PORT, _HTTP_PORT = 5201, 80
_PEER = (sys.executable, "-I", str(Path(__file__).with_name("peer.py")))
_OWN = "a program of our own"
_READY_SECONDS = 10.0
_SLACK_SECONDS = 30.0
# iperf3's server turns away whoever comes before it has cleared up after the last client, which a
# busy machine makes late; a road that is really closed stays closed.
_IPERF3_TRIES, _IPERF3_PAUSE = 3, 0.5

_SYSCTLS = {
    # A client that opens thousands of connections a second to one port runs out of ports without.
    "net/ipv4/ip_local_port_range": "1024 65535",
    "net/ipv4/tcp_tw_reuse": "1",
    # BBR paces, which hides what forwarding costs; a network namespace may always choose Reno.
    "net/ipv4/tcp_congestion_control": "reno",
    "net/core/somaxconn": "4096",
    "net/ipv4/tcp_max_syn_backlog": "4096",
}


class BulkLoad(Protocol):
    """Long TCP streams between sandbox and outside."""

    name: str

    def run(self, *, upload: bool, seconds: int) -> Bulk:
        """Move bytes one way; raise KernelError where the tool fails."""
        ...


class WebLoad(Protocol):
    """HTTP requests, a connection each."""

    name: str

    def run(self, *, connections: int, seconds: int) -> Requests:
        """Keep so many connections busy; raise KernelError where the tool fails."""
        ...


def prepare(
    lab: Lab, work: Path, *, own_tools: bool = False, threads: int = 1
) -> tuple[BulkLoad, WebLoad]:
    """Start the servers and return what loads them.

    ``own_tools`` leaves installed tools alone. ``threads`` are wrk's: of one, a processor is the
    bound of what plain forwarding reaches.
    """
    for host in (OUTSIDE, SANDBOX):
        for name, value in _SYSCTLS.items():
            script = f"echo '{value}' > /proc/sys/{name}"
            lab.run(host, ["sh", "-c", script], stderr=subprocess.DEVNULL)
    folder = work / "load"
    folder.mkdir()
    bulk: BulkLoad
    web: WebLoad
    if own_tools:
        bulk, web = OwnBulk(lab, _OWN), OwnWeb(lab, _OWN)
    else:
        lacking = _lacking("iperf3")
        bulk = OwnBulk(lab, lacking) if lacking else Iperf3(lab)
        lacking = _lacking("wrk", "nginx")
        web = OwnWeb(lab, lacking) if lacking else Wrk(lab, folder, threads)
    for port in (_BULK_PORT, _HTTP_PORT):
        _wait_listening(lab, port)
    return bulk, web


class Iperf3:
    """iperf3, both ends."""

    name = "iperf3"

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        _serve(lab, ["iperf3", "--server", "--bind", SITES[0], "--port", str(_BULK_PORT)])

    def run(self, *, upload: bool, seconds: int) -> Bulk:
        """Move bytes one way."""
        arguments = ["iperf3", "--client", SITES[0], "--port", str(_BULK_PORT), "--json"]
        arguments += ["--time", str(seconds), "--parallel", str(STREAMS)]
        if not upload:
            arguments.append("--reverse")
        for _ in range(_IPERF3_TRIES - 1):
            said = _client(self._lab, arguments, seconds)
            with contextlib.suppress(KernelError):
                return parse_iperf3(said)
            time.sleep(_IPERF3_PAUSE)
        return parse_iperf3(_client(self._lab, arguments, seconds))


class Wrk:
    """wrk against nginx, which has one worker."""

    name = "wrk against nginx"

    def __init__(self, lab: Lab, folder: Path, threads: int) -> None:
        self._lab = lab
        self._threads = str(threads)
        configuration = folder / "nginx.conf"
        configuration.write_text(_nginx_conf(folder))
        _serve(lab, ["nginx", "-e", f"{folder}/error.log", "-c", str(configuration)])

    def run(self, *, connections: int, seconds: int) -> Requests:
        """Keep so many connections busy."""
        arguments = ["wrk", "-t", self._threads, "-c", str(connections)]
        arguments += ["-d", f"{seconds}s", "--latency"]
        arguments += ["-H", "Connection: close", f"http://{SITES[0]}:{_HTTP_PORT}/"]
        return parse_wrk(_client(self._lab, arguments, seconds))


class OwnBulk:
    """Our own program, where iperf3 is not installed."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.name = name
        self._lab = lab
        _serve(lab, [*_PEER, "serve", SITES[0], "bulk"])

    def run(self, *, upload: bool, seconds: int) -> Bulk:
        """Move bytes one way."""
        direction = "up" if upload else "down"
        arguments = [*_PEER, "bulk", SITES[0], direction, str(seconds), str(STREAMS)]
        return parse_own_bulk(_client(self._lab, arguments, seconds))


class OwnWeb:
    """Our own program, where wrk or nginx is not installed."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.name = name
        self._lab = lab
        _serve(lab, [*_PEER, "serve", SITES[0], "http"])

    def run(self, *, connections: int, seconds: int) -> Requests:
        """Keep so many connections busy."""
        arguments = [*_PEER, "connect", SITES[0], str(seconds), str(connections)]
        return parse_own_requests(_client(self._lab, arguments, seconds))


def _lacking(*programs: str) -> str:
    """Return what is used instead, and why, where one of the programs is not installed."""
    missing = [program for program in programs if shutil.which(program) is None]
    return f"{_OWN} ({' and '.join(missing)}: not installed)" if missing else ""


def _serve(lab: Lab, argv: Sequence[str]) -> None:
    lab.spawn(
        OUTSIDE,
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _client(lab: Lab, argv: Sequence[str], seconds: int) -> str:
    """Run a client in the sandbox; return its output, and its complaints when it fails."""
    try:
        done = lab.run(
            SANDBOX, argv, timeout=seconds + _SLACK_SECONDS, capture_output=True, text=True
        )
    except subprocess.TimeoutExpired as error:
        raise KernelError(
            f"{argv[0]} hangs: nothing comes through; see `davylamp doctor`"
        ) from error
    output: str = done.stdout if done.returncode == 0 or done.stdout else done.stderr
    return output


def _nginx_conf(folder: Path) -> str:
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"daemon off;\nuser root;\nworker_processes 1;\npid {folder}/pid;\n"
        f"error_log {folder}/error.log;\nevents {{ worker_connections 4096; }}\n"
        f"http {{\naccess_log off;\n{temporary}server {{\n"
        f"listen {SITES[0]}:{_HTTP_PORT} backlog=4096;\n"
        'location / { return 200 "ok\\n"; }\n}\n}\n'
    )


def _wait_listening(lab: Lab, port: int) -> None:
    """Wait until the outside host listens on the port; raise KernelError if it never does."""
    table = Path(f"/proc/{lab.outside.pid}/net/tcp")
    listening = f":{port:04X} 00000000:0000 0A"
    deadline = time.monotonic() + _READY_SECONDS
    while listening not in table.read_text():
        if time.monotonic() > deadline:
            raise KernelError(f"nothing listens on port {port} of the lab's outside host")
        time.sleep(0.02)
