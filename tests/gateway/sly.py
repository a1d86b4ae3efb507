"""A miner and a pool that are in league: HTTP first, then Stratum that no segment begins.

Each segment ends a few bytes into the next line, so that none starts with what starts a request;
only a sample of the flow can show what it has become. Run as a program:

    sly.py pool HOST PORT           says a JSON line for each request it receives whole
    sly.py miner HOST PORT ROUNDS   exit 3 when cut off, 0 if nobody minded
"""

import itertools
import json
import socket
import sys
import time

_HEAD = 5
_PAUSE = 0.2
_LINES = 60
_PAGE = 100_000


def pool(host: str, port: int) -> int:
    """Serve one connection."""
    listener = socket.create_server((host, port), family=_family(host))
    say(ready=True)
    connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    received = b""
    try:
        while data := connection.recv(65_536):
            received += data
            while received.startswith(b"GET ") and b"\r\n\r\n" in received:
                received = received.partition(b"\r\n\r\n")[2]
                page = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % _PAGE
                connection.sendall(page + b"." * _PAGE)
            while b"\n" in received:
                line, _, received = received.partition(b"\n")
                say(event="request", method=json.loads(line)["method"])
    except ConnectionResetError:
        say(event="reset")
    return 0


def miner(host: str, port: int, rounds: int) -> int:
    """Fetch some pages, then send shares, cut so that each segment starts inside a line."""
    connection = socket.create_connection((host, port), 5)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.settimeout(5)
    for _ in range(rounds):
        fetch(connection)
    lines = [request(number) for number in range(_LINES)]
    say(event="turning")
    try:
        fetch(connection, lines[0][:_HEAD])
        for line, following in itertools.pairwise(lines):
            connection.sendall(line[_HEAD:] + following[:_HEAD])
            time.sleep(_PAUSE)
    except (ConnectionResetError, BrokenPipeError):
        say(event="reset")
        return 3
    return 0


def fetch(connection: socket.socket, more: bytes = b"") -> None:
    """Ask for a page, with ``more`` bytes in the request's segment, and read all of it."""
    connection.sendall(b"GET / HTTP/1.1\r\nHost: www.example\r\n\r\n" + more)
    answer = b""
    while len(answer.partition(b"\r\n\r\n")[2]) < _PAGE:
        answer += connection.recv(65_536)


def request(number: int) -> bytes:
    """Return one of Stratum's lines: a share."""
    params = ["bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4.lab", f"{number:x}", "00" * 4, "65a0f1c2"]
    line = {"id": number, "method": "mining.submit", "params": [*params, f"{number:08x}"]}
    return json.dumps(line).encode() + b"\n"


def say(**members: object) -> None:
    """Write a line as the lab's programs do."""
    sys.stdout.write(json.dumps({"monotonic": time.monotonic(), **members}) + "\n")
    sys.stdout.flush()


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


if __name__ == "__main__":
    role, where, number, *rest = sys.argv[1:]
    sys.exit(
        pool(where, int(number)) if role == "pool" else miner(where, int(number), int(rest[0]))
    )
