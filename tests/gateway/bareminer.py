"""A client that speaks CryptoNote inside TLS as XMRig does: ``bareminer.py HOST PORT WORD``.

XMRig (src/base/net/stratum/Tls.cpp) leaves OpenSSL as it is, and sends its login in one write with
the end of the handshake. ``WORD`` is ``login``, or ``request`` for something shorter. Says a JSON
line for each answer; exit 3 when cut off, 0 if nobody minded.
"""

import json
import socket
import ssl
import sys

_ALGORITHMS = (
    "cn/1 cn/2 cn/r cn/fast cn/half cn/xao cn/rto cn/rwz cn/zls cn/double cn/ccx cn-lite/1 "
    "cn-heavy/0 cn-heavy/tube cn-heavy/xhv cn-pico cn-pico/tlo cn/upx2 cn/gpu rx/0 rx/wow rx/arq "
    "rx/graft rx/sfx rx/yada argon2/chukwa argon2/chukwav2 argon2/ninja ghostrider"
)
_LOGIN = {
    "login": "4" + "8" * 94,
    "pass": "x",
    "agent": "XMRig/6.21.0 (Linux x86_64) libuv/1.44.2 gcc/11.2.1",
    "algo": _ALGORITHMS.split(),
}


def main(host: str, port: int, word: str) -> int:
    """Log in, hear the answer, and say something more."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT")
    context.options &= ~ssl.OP_ALL
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing)
    connection = socket.create_connection((host, port), 5)
    connection.settimeout(5)
    method = {"login": _LOGIN} if word == "login" else {"getjob": {}}
    try:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                connection.sendall(outgoing.read())
                incoming.write(connection.recv(65_536))
        for number, (name, params) in enumerate([*method.items(), ("keepalived", {"id": "1"})]):
            tls.write(_line(number, name, params))
            connection.sendall(outgoing.read())
            say(event="answer", text=_answer(tls, incoming, connection))
    except (ConnectionResetError, BrokenPipeError):
        return 3
    return 0


def _line(number: int, method: str, params: object) -> bytes:
    request = {"id": number, "jsonrpc": "2.0", "method": method, "params": params}
    return json.dumps(request, separators=(",", ":")).encode() + b"\n"


def _answer(tls: ssl.SSLObject, incoming: ssl.MemoryBIO, connection: socket.socket) -> str:
    while True:
        try:
            return tls.read(65_536).decode()
        except ssl.SSLWantReadError:
            if not (data := connection.recv(65_536)):
                raise ConnectionResetError from None
            incoming.write(data)


def say(**members: object) -> None:
    """Write a line as the lab's programs do."""
    sys.stdout.write(json.dumps(members) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    where, number, what = sys.argv[1:]
    sys.exit(main(where, int(number), what))
