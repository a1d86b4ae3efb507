"""A DNS server that answers every question with an HTTPS record that has ECH keys in it.

``python keyserver.py ADDRESS``; it says ``{"ready": true}`` once it listens.
"""

import json
import socket
import sys
import threading
import time

_RECORD = (
    b"\0\1\0" + b"\0\1\0\3\2h2" + b"\0\5\0\x08" + b"\0\6\xfe\x0d\0\2zz" + b"\0\6\0\x10" + bytes(16)
)


def answer(question: bytes) -> bytes:
    """Return what is answered to a question."""
    head = question[:2] + b"\x81\x80\0\1\0\1\0\0\0\0"
    record = b"\xc0\x0c\0\x41\0\1\0\0\0\x3c" + len(_RECORD).to_bytes(2, "big") + _RECORD
    return head + question[12:] + record


def over_tcp(listener: socket.socket) -> None:
    """Answer one question of each connection, the length in a segment of its own."""
    while True:
        client, _ = listener.accept()
        with client:
            size = int.from_bytes(client.recv(2, socket.MSG_WAITALL), "big")
            said = answer(client.recv(size, socket.MSG_WAITALL))
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.sendall(len(said).to_bytes(2, "big"))
            time.sleep(0.05)  # only so that the two surely leave one by one
            client.sendall(said)


def main(address: str) -> None:
    """Answer until killed."""
    listener = socket.create_server((address, 53))
    threading.Thread(target=over_tcp, args=(listener,), daemon=True).start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 53))
        sys.stdout.write(json.dumps({"ready": True, "listening": []}) + "\n")
        sys.stdout.flush()
        while True:
            question, asker = server.recvfrom(2048)
            server.sendto(answer(question), asker)


if __name__ == "__main__":
    main(*sys.argv[1:])
