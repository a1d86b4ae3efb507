"""Whether memory stays flat: mitmdump with the addons while a lot goes through one connection.

    .venv/bin/python benchmarks/memory.py [--gigabytes 10]

An HTTP body inside TLS, and raw TCP. Resident memory is read after the first 100 MB, by when
everything is loaded, and at the end what it was at most, which the kernel keeps.
"""

# ruff: noqa: INP001, T201, S323, SLF001 - a script; the proxy is ours, and so is the peer

import argparse
import multiprocessing
import socket
import ssl
import tempfile
from pathlib import Path

import addons as bench
from davylamp.paths import ADDONS

_WARM = 100_000_000


def peer(ports: bench.Ports, size: int) -> None:
    """Serve bodies and floods of that size."""
    bench._BULK = size
    bench.serve(ports)


def kilobytes(proxy: bench.Proxy, what: str) -> int:
    """Return a line of what the kernel says of a process's memory: VmRSS now, VmHWM at most."""
    status = Path(f"/proc/{proxy.process.pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(what))


def grown(proxy: bench.Proxy, reader: socket.socket, total: int, name: str) -> None:
    """Read so many bytes; print what memory did."""
    buffer, got, first = bytearray(1 << 18), 0, 0
    while got < total:
        size = reader.recv_into(buffer)
        if not size:
            raise SystemExit(f"{name}: only {got} bytes came")
        got += size
        if not first and got >= _WARM:
            first = kilobytes(proxy, "VmRSS")
    most = kilobytes(proxy, "VmHWM")
    print(f"{name:18}{got / 1e9:5.1f} GB, {first:,} kB after 100 MB, at most {most:,} kB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=10)
    total = int(parser.parse_args().gigabytes * 1e9)
    size = total // len(bench._BLOCK) * len(bench._BLOCK)
    behind = bench.Ports(bench.free_port(), bench.free_port())
    server = multiprocessing.Process(target=peer, args=(behind, size))
    server.start()
    with tempfile.TemporaryDirectory(prefix="dl-bench-") as folder:
        bench.wait_for(behind.http)
        script = str(ADDONS / "davylamp_addon.py")
        proxy = bench.start("addons", behind, Path(folder), "-s", script)
        try:
            context = ssl._create_unverified_context()
            raw = socket.create_connection(("127.0.0.1", proxy.ports.http), timeout=60)
            with context.wrap_socket(raw) as reader:
                reader.sendall(b"GET /bulk HTTP/1.1\r\nHost: x\r\n\r\n")
                grown(proxy, reader, size, "HTTP body in TLS")
            address = ("127.0.0.1", proxy.ports.raw)
            with socket.create_connection(address, timeout=60) as reader:
                reader.sendall(b"go\n")
                grown(proxy, reader, size, "raw TCP")
        finally:
            proxy.process.terminate()
            proxy.process.wait()
            server.terminate()


if __name__ == "__main__":
    main()
