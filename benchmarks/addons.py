"""What the mitmproxy addons add to mitmproxy: bare and with them, in turns, in one run.

    .venv/bin/python benchmarks/addons.py [--rounds 15] [--json]

A peer of its own process answers small requests, and large ones with a body of known length, over
HTTP, and floods raw TCP. mitmdump stands before it in reverse mode, once as it is (with
stream_large_bodies, so that both stream) and once with the addons, and wrk or a plain socket is the
client. Each measure is taken of both, one right after the other, in turns as to who is first. The
cost is the median of the rounds' ratios, with the middle half of them: above 1 is a cost. The rates
are what a user sees; where the machine has other work the processor time of mitmdump for one
request, or one MB, says more. Memory is that of mitmdump at the end of all.
"""

# ruff: noqa: INP001, T201, S603 - a script, whose output is its purpose

import argparse
import json
import multiprocessing
import os
import re
import socket
import socketserver
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from arguments import at_least_one  # type: ignore[import-not-found] # beside this file

from davylamp.paths import ADDONS

_BLOCK = bytes(range(256)) * 256
_BULK = 128 << 20
_SECONDS = 2
_MITMDUMP = Path(sys.executable).with_name("mitmdump")


class Server(ThreadingHTTPServer):
    """Says nothing of clients that end their connection as wrk does."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing."""


class Web(BaseHTTPRequestHandler):
    """Answers ``/`` with little and anything else with a lot."""

    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        """Send each answer at once, as servers do; Nagle would be what is measured."""
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_GET(self) -> None:
        """Answer."""
        blocks = 0 if self.path == "/" else _BULK // len(_BLOCK)
        small = b'{"packages": ["torch", "numpy"]}'
        self.wfile.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (blocks * len(_BLOCK) or len(small))
            + (b"" if blocks else small)
        )
        for _ in range(blocks):
            self.wfile.write(_BLOCK)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


class Flood(socketserver.BaseRequestHandler):
    """Sends a lot of raw bytes after the first that it is sent."""

    def handle(self) -> None:
        """Send."""
        if self.request.recv(64):
            for _ in range(_BULK // len(_BLOCK)):
                self.request.sendall(_BLOCK)


@dataclass(frozen=True)
class Ports:
    """A way in: to HTTP, and to raw TCP."""

    http: int
    raw: int


@dataclass
class Proxy:
    """One mitmdump."""

    name: str
    ports: Ports
    process: "subprocess.Popen[bytes]"

    def seconds(self) -> float:
        """Return the seconds of processor time that it has taken."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").split()
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Return MB of memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        found = re.search(r"VmRSS:\s+(\d+)", status)
        return int(found[1]) / 1024 if found else 0.0


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def serve(ports: Ports) -> None:
    """Be the peer, for ever."""
    raw = socketserver.ThreadingTCPServer(("127.0.0.1", ports.raw), Flood)
    raw.daemon_threads = True
    threading.Thread(target=raw.serve_forever, daemon=True).start()
    Server(("127.0.0.1", ports.http), Web).serve_forever()


def start(name: str, behind: Ports, folder: Path, *more: str) -> Proxy:
    """Start a mitmdump before the peer and wait until it listens."""
    ports = Ports(free_port(), free_port())
    argv = [
        *(str(_MITMDUMP), "-q", "--set", f"confdir={folder}"),
        *("--set", "stream_large_bodies=128k", "--set", "connection_strategy=lazy"),
        *("--mode", f"reverse:http://127.0.0.1:{behind.http}@127.0.0.1:{ports.http}"),
        *("--mode", f"reverse:tcp://127.0.0.1:{behind.raw}@127.0.0.1:{ports.raw}"),
    ]
    proxy = Proxy(name, ports, subprocess.Popen([*argv, *more]))
    for port in (ports.http, ports.raw):
        wait_for(port)
    return proxy


def wait_for(port: int) -> None:
    """Wait until somebody listens on a port."""
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"nobody listens on {port}")


def requests_per_second(ports: Ports) -> float:
    """Measure small requests over kept connections."""
    argv = ["wrk", "-t1", "-c8", f"-d{_SECONDS}s", f"http://127.0.0.1:{ports.http}/"]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if found is None or "Non-2xx" in said:
        raise SystemExit(f"wrk: {said}")
    return float(found[1])


def http_rate(ports: Ports) -> float:
    """Measure MB/s of one large body."""
    return _rate(ports.http, b"GET /bulk HTTP/1.1\r\nHost: x\r\n\r\n")


def raw_rate(ports: Ports) -> float:
    """Measure MB/s of raw TCP."""
    return _rate(ports.raw, b"go\n")


def _rate(port: int, request: bytes) -> float:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as peer:
        began = time.perf_counter()
        peer.sendall(request)
        buffer, got = bytearray(1 << 18), 0
        while got < _BULK and (size := peer.recv_into(buffer)):
            got += size
        if got < _BULK:
            raise SystemExit(f"only {got} bytes came")
        return got / (time.perf_counter() - began) / 1e6


MEASURES = {
    "requests/s": requests_per_second,
    "HTTP body, MB/s": http_rate,
    "raw TCP, MB/s": raw_rate,
}


@dataclass(frozen=True)
class Taken:
    """One measure's values of both, a pair a round."""

    bare: list[float]
    addons: list[float]

    def costs(self, *, rate: bool) -> tuple[float, float, float]:
        """Return the first quartile, the median and the third of what the addons cost."""
        pairs = zip(self.bare, self.addons, strict=True)
        ratios = [bare / addons if rate else addons / bare for bare, addons in pairs]
        first, median, third = statistics.quantiles(ratios, n=4)
        return first, median, third


def measure(proxies: list[Proxy], rounds: int) -> dict[str, Taken]:
    """Take every measure of both proxies in turns."""
    taken = {name: Taken([], []) for rate in MEASURES for name in (rate, _cost_name(rate))}
    for number in range(rounds):
        for name, take in MEASURES.items():
            for proxy in proxies if number % 2 == 0 else reversed(proxies):
                before, began = proxy.seconds(), time.perf_counter()
                rate = take(proxy.ports)
                units = rate * (time.perf_counter() - began)
                microseconds = (proxy.seconds() - before) / units * 1e6
                getattr(taken[name], proxy.name).append(rate)
                getattr(taken[_cost_name(name)], proxy.name).append(microseconds)
    return taken


def _cost_name(rate: str) -> str:
    """Return what the processor time behind a rate is called."""
    return f"{rate.removesuffix('/s')}, CPU us"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=at_least_one, default=15)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    behind = Ports(free_port(), free_port())
    peer = multiprocessing.Process(target=serve, args=(behind,))
    peer.start()
    proxies: list[Proxy] = []
    with tempfile.TemporaryDirectory(prefix="dl-bench-") as folder:
        try:
            wait_for(behind.http)
            proxies.append(start("bare", behind, Path(folder)))
            script = str(ADDONS / "davylamp_addon.py")
            proxies.append(start("addons", behind, Path(folder), "-s", script))
            taken = measure(proxies, options.rounds)
            memory = {proxy.name: proxy.memory() for proxy in proxies}
        finally:
            for proxy in proxies:
                proxy.process.terminate()
                proxy.process.wait()
            peer.terminate()
    if options.json:
        rows = {name: {"bare": one.bare, "addons": one.addons} for name, one in taken.items()}
        print(json.dumps({**rows, "memory, MB": memory}))
        return
    print(f"{'':24}{'bare':>10}{'addons':>10}{'cost':>8}   middle half")
    for name, one in taken.items():
        first, median, third = one.costs(rate=not name.endswith("us"))
        medians = (statistics.median(one.bare), statistics.median(one.addons))
        print(f"{name:24}{medians[0]:10,.0f}{medians[1]:10,.0f}{median:8.3f}", end="")
        print(f"   {first:.3f} - {third:.3f}")
    print(f"{'memory, MB':24}{memory['bare']:10,.0f}{memory['addons']:10,.0f}")


if __name__ == "__main__":
    main()
