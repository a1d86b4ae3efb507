"""Load without iperf3, wrk or nginx: a small server and its clients, with the standard library.

    python peer.py serve ADDRESS bulk       on port 5201
    python peer.py serve ADDRESS http       on port 80
    python peer.py bulk ADDRESS up|down SECONDS STREAMS
    python peer.py connect ADDRESS SECONDS CONNECTIONS

Each client prints one JSON line. It is slower than the real tools, on both roads alike.
"""

import json
import os
import selectors
import socket
import sys
import threading
import time

BULK_PORT = 5201
HTTP_PORT = 80
_CHUNK = 1 << 17
_PATIENCE = 10.0  # seconds a peer may stay silent
_REQUEST = b"GET / HTTP/1.1\r\nHost: outside\r\nConnection: close\r\n\r\n"
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"


def serve_http(address: str) -> None:
    """Answer one request on each connection, until killed."""
    listener = socket.create_server((address, HTTP_PORT), backlog=4096)
    while True:
        end, _ = listener.accept()
        with end:
            end.settimeout(_PATIENCE)
            try:
                if end.recv(4096):
                    end.sendall(_ANSWER)
            except OSError:
                continue


def serve_bulk(address: str) -> None:
    """Move bulk with every client, until killed."""
    listener = socket.create_server((address, BULK_PORT), backlog=64)
    while True:
        end, _ = listener.accept()
        end.settimeout(_PATIENCE)
        threading.Thread(target=_transfer, args=(end,), daemon=True).start()


def _transfer(end: socket.socket) -> None:
    """Take what a client sends and tell it how much that was, or send for as long as it reads."""
    with end:
        try:
            if end.recv(1) == b"d":
                data = os.urandom(_CHUNK)
                while True:
                    end.sendall(data)
            end.sendall(_count(end, float("inf")).to_bytes(8, "big"))
        except OSError:
            return


def _count(end: socket.socket, until: float) -> int:
    """Read to the end, or to a time (monotonic seconds); return how many bytes came."""
    buffer = bytearray(_CHUNK)
    total = 0
    while time.monotonic() < until and (got := end.recv_into(buffer)):
        total += got
    return total


def bulk(address: str, direction: str, seconds: float, streams: int) -> dict[str, float]:
    """Move bytes over so many connections for so long; return what the receiver counted."""
    counts = [0] * streams
    until = time.monotonic() + seconds

    def move(number: int) -> None:
        with socket.create_connection((address, BULK_PORT), timeout=_PATIENCE) as end:
            if direction == "down":
                end.sendall(b"d")
                counts[number] = _count(end, until)
                return
            end.sendall(b"u")
            data = os.urandom(_CHUNK)
            while time.monotonic() < until:
                end.sendall(data)
            end.shutdown(socket.SHUT_WR)
            counts[number] = int.from_bytes(end.recv(8, socket.MSG_WAITALL), "big")

    begin = time.monotonic()
    threads = [threading.Thread(target=move, args=(number,)) for number in range(streams)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"bytes": sum(counts), "seconds": time.monotonic() - begin}


def connect(address: str, seconds: float, connections: int) -> dict[str, float]:
    """Make a connection for each request, so many at once; return counts and latencies."""
    ready = selectors.DefaultSelector()
    begin = time.monotonic()
    until = begin + seconds
    taken: list[float] = []
    failed = 0
    for _ in range(connections):
        _open(ready, address)
    while ready.get_map() and time.monotonic() < until + _PATIENCE:
        for key, events in ready.select(1.0):
            end = key.fileobj
            assert isinstance(end, socket.socket)
            try:
                if events & selectors.EVENT_WRITE:
                    end.sendall(_REQUEST)
                    ready.modify(end, selectors.EVENT_READ, time.monotonic())
                    continue
                good = end.recv(4096).startswith(b"HTTP/1.1 200")
            except OSError:
                good = False
            ready.unregister(end)
            end.close()
            if good:
                taken.append(time.monotonic() - key.data)
            else:
                failed += 1
            if time.monotonic() < until:
                _open(ready, address)
    taken.sort()
    return {
        "count": len(taken),
        "failed": failed + len(ready.get_map()),
        "seconds": time.monotonic() - begin,
        "p50": percentile(taken, 0.50),
        "p99": percentile(taken, 0.99),
    }


def _open(ready: selectors.BaseSelector, address: str) -> None:
    end = socket.socket()
    end.setblocking(False)
    end.connect_ex((address, HTTP_PORT))
    ready.register(end, selectors.EVENT_WRITE, 0.0)


def percentile(ascending: list[float], share: float) -> float:
    """Return the value below which ``share`` (0 to 1) of the list lies; 0 of an empty list."""
    if not ascending:
        return 0.0
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]


def main(arguments: list[str]) -> None:
    """Serve, or run one client."""
    match arguments:
        case ["serve", address, "bulk"]:
            serve_bulk(address)
        case ["serve", address, "http"]:
            serve_http(address)
        case ["bulk", address, direction, seconds, streams]:
            print(json.dumps(bulk(address, direction, float(seconds), int(streams))))  # noqa: T201 - its output
        case ["connect", address, seconds, connections]:
            print(json.dumps(connect(address, float(seconds), int(connections))))  # noqa: T201 - its output
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
