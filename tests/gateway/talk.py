"""Both ends of many short conversations: ``sink ADDRESS FIRST COUNT`` and ``client ADDRESS FILE``.

The sink takes whatever comes to so many ports and says, a JSON line for each connection that ends,
its port and what it received. The client reads JSON lines of port, way (``whole`` or ``bytes``) and
hexadecimal data; it sends each on a connection of its own and says how that ended.
"""

import json
import selectors
import socket
import sys
from pathlib import Path


def say(**members: object) -> None:
    """Write one line at once."""
    sys.stdout.write(json.dumps(members) + "\n")
    sys.stdout.flush()


def sink(address: str, first: str, count: str) -> None:
    """Receive until killed."""
    selector = selectors.DefaultSelector()
    for port in range(int(first), int(first) + int(count)):
        listener = socket.create_server((address, port))
        selector.register(listener, selectors.EVENT_READ, port)
    received: dict[socket.socket, bytearray] = {}
    say(ready=True, listening=[])
    while True:
        for key, _ in selector.select():
            end = key.fileobj
            assert isinstance(end, socket.socket)
            if end not in received and end.getsockname()[1] == key.data and _listens(end):
                peer, _ = end.accept()
                received[peer] = bytearray()
                selector.register(peer, selectors.EVENT_READ, key.data)
                continue
            try:
                data = end.recv(1 << 16)
            except ConnectionResetError:
                data = b""
            received[end] += data
            if not data:
                selector.unregister(end)
                say(event="ended", port=key.data, received=bytes(received.pop(end)).hex())
                end.close()


def _listens(end: socket.socket) -> bool:
    return bool(end.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def client(address: str, file: str) -> None:
    """Send each conversation, one after the other."""
    say(ready=True, listening=[])
    for line in Path(file).read_text(encoding="ascii").splitlines():
        asked = json.loads(line)
        say(event="sent", port=asked["port"], outcome=_send(address, **asked))


def _send(address: str, port: int, way: str, data: str) -> str:
    content = bytes.fromhex(data)
    pieces = [content] if way == "whole" else [content[at : at + 1] for at in range(len(content))]
    try:
        with socket.create_connection((address, port), timeout=5) as end:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in pieces:
                end.sendall(piece)
            return "answered" if end.recv(1) else "closed"
    except (ConnectionResetError, BrokenPipeError):
        return "reset"
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return "silence"


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    if what == "sink":
        sink(*words)
    else:
        client(*words)
