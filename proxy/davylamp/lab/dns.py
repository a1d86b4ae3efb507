"""The lab's outside DNS: a small authoritative server over UDP and TCP (RFC 1035, RFC 6891).

It runs as a process of its own in the outside host, so it imports nothing but the standard
library and is started by path. The zone is a JSON file, read again whenever it changes: a name
added to a running lab is answered at the next query. A name that is not in it is NXDOMAIN.
"""

import json
import selectors
import socket
import struct
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

A, CNAME, AAAA, OPT, ANY = 1, 5, 28, 41, 255
NOERROR, FORMERR, NXDOMAIN, NOTIMP = 0, 1, 3, 4

TTL = 30  # seconds
UDP_LIMIT = 512  # bytes, without EDNS (RFC 1035 section 2.3.4)
EDNS_LIMIT = 1232  # bytes, the most we send to a client that announces more
MAX_CHAIN = 8  # CNAMEs followed for one answer
MAX_CONNECTIONS = 64
IDLE = 10.0  # seconds a TCP connection may stay without completing a query
MAX_VALUES = 256  # addresses kept of one name, so that every answer fits in a TCP message

_IP_FREEBIND, _IPV6_FREEBIND = 15, 78  # linux/in.h, linux/in6.h; the socket module lacks both
_HEADER = struct.Struct("!6H")

type Zone = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Query:
    """One question, as it was asked: ``raw_question`` is echoed, letter case and all."""

    ident: int
    flags: int
    name: str
    qtype: int
    raw_question: bytes
    udp_size: int
    edns: bool


def respond(message: bytes, zone: Zone, *, tcp: bool) -> bytes | None:
    """Return the answer to one query, or None where the message deserves no answer at all.

    An answer too long for UDP is cut to its question and marked truncated, so the client asks
    again over TCP (RFC 2181 section 9).
    """
    if len(message) < _HEADER.size or message[2] & 0x80:
        return None
    ident, flags = struct.unpack_from("!HH", message)
    if flags >> 11 & 0xF:
        return _HEADER.pack(ident, 0x8000 | flags & 0x7900 | NOTIMP, 0, 0, 0, 0)
    query = _parse(message)
    if query is None:
        return _HEADER.pack(ident, 0x8000 | flags & 0x0100 | FORMERR, 0, 0, 0, 0)
    rcode, answers = _lookup(query, zone)
    whole = _render(query, rcode, answers)
    if tcp or len(whole) <= query.udp_size:
        return whole
    return _render(query, rcode, [], truncated=True)


def _parse(message: bytes) -> Query | None:
    ident, flags, questions, _, _, additional = _HEADER.unpack_from(message)
    if questions != 1:
        return None
    labels: list[str] = []
    at = _HEADER.size
    while at < len(message) and message[at]:
        length = message[at]
        # A length of 64 or more is a compression pointer, which a first question cannot hold.
        if length > 63 or at + 1 + length > len(message) or at - _HEADER.size + length > 253:
            return None
        labels.append(message[at + 1 : at + 1 + length].decode("latin-1"))
        at += 1 + length
    at += 1
    if at + 4 > len(message):
        return None
    (qtype,) = struct.unpack_from("!H", message, at)
    at += 4
    # An OPT record's owner is the root: one zero byte, then its type and our reply's size limit.
    edns = additional > 0 and message[at : at + 3] == b"\0" + struct.pack("!H", OPT)
    size = UDP_LIMIT
    if edns and at + 5 <= len(message):
        size = min(max(struct.unpack_from("!H", message, at + 3)[0], UDP_LIMIT), EDNS_LIMIT)
    question = message[_HEADER.size : at]
    return Query(ident, flags, ".".join(labels).lower(), qtype, question, size, edns)


def _lookup(query: Query, zone: Zone) -> tuple[int, list[bytes]]:
    name, answers = query.name, list[bytes]()
    for _ in range(MAX_CHAIN):
        values = zone.get(name)
        if values is None:
            break
        alias = _alias(values)
        if alias is None:
            return NOERROR, answers + list(_records(name, values, query.qtype))
        answers.append(_record(name, CNAME, _encode_name(alias)))
        name = alias
    # RFC 6604 section 3: the code is that of the last name in the chain.
    return NXDOMAIN, answers


def _alias(values: tuple[str, ...]) -> str | None:
    try:
        ip_address(values[0])
    except ValueError:
        return values[0].rstrip(".").lower()
    return None


def _records(name: str, values: tuple[str, ...], qtype: int) -> Iterator[bytes]:
    for value in values:
        address = ip_address(value)
        kind = A if address.version == 4 else AAAA
        if qtype in (kind, ANY):
            yield _record(name, kind, address.packed)


def _record(name: str, kind: int, data: bytes) -> bytes:
    return _encode_name(name) + struct.pack("!HHIH", kind, 1, TTL, len(data)) + data


def _encode_name(name: str) -> bytes:
    labels = [label.encode("latin-1") for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _render(query: Query, rcode: int, answers: list[bytes], *, truncated: bool = False) -> bytes:
    # Response, authoritative; opcode zero; the client's "recursion desired" echoed, "recursion
    # available" set, since stub resolvers ask a resolver and this one stands in for it.
    flags = 0x8480 | (query.flags & 0x0100) | (0x0200 if truncated else 0) | rcode
    options = b"\0" + struct.pack("!HHIH", OPT, EDNS_LIMIT, 0, 0) if query.edns else b""
    head = _HEADER.pack(query.ident, flags, 1, len(answers), 0, 1 if options else 0)
    return head + query.raw_question + b"".join(answers) + options


class ZoneFile:
    """The zone as its file has it now; a broken file leaves the last good one in force."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._zone: Zone = {}

    def current(self) -> Zone:
        """Return the zone, read again where the file was replaced or rewritten."""
        try:
            stat = self._path.stat()
            if (stat.st_ino, stat.st_mtime_ns) != self._seen:
                self._seen = (stat.st_ino, stat.st_mtime_ns)
                self._zone = _checked(json.loads(self._path.read_text()))
        except (OSError, ValueError) as error:
            sys.stderr.write(f"dns: {self._path}: {error}; the zone stays as it was\n")
        return self._zone


def _checked(table: object) -> Zone:
    """Return the zone that the file's JSON describes; ValueError where it cannot be answered."""
    if not isinstance(table, dict):
        raise ValueError("not an object of names")  # noqa: TRY004 - one error for any bad file
    zone: dict[str, tuple[str, ...]] = {}
    for name, values in table.items():
        texts = tuple(map(str, values))[:MAX_VALUES] if isinstance(values, list) else ()
        if not texts or any(len(part) > 63 for text in (name, *texts) for part in text.split(".")):
            raise ValueError(f"{name!r} has no usable value")
        if _alias(texts) is None:
            list(map(ip_address, texts))
        zone[name.rstrip(".").lower()] = texts
    return zone


@dataclass(slots=True)
class _Connection:
    """One TCP client: what it sent and we have not parsed, and when it last got anywhere."""

    peer: socket.socket
    last: float
    data: bytearray = field(default_factory=bytearray)


class Server:
    """The sockets and the loop; one thread, so a client can only ever slow the others down."""

    def __init__(self, zone: ZoneFile, addresses: list[str]) -> None:
        self._zone = zone
        self._selector = selectors.DefaultSelector()
        self._connections: dict[int, _Connection] = {}
        for address in addresses:
            self._listen(address)

    def _listen(self, address: str) -> None:
        six = ":" in address
        family = socket.AF_INET6 if six else socket.AF_INET
        # Free binding: the server starts while the lab is still being cabled.
        option = (socket.IPPROTO_IPV6, _IPV6_FREEBIND) if six else (socket.IPPROTO_IP, _IP_FREEBIND)
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            sock = socket.socket(family, kind)
            sock.setsockopt(*option, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setblocking(False)
            sock.bind((address, 53))
            if kind == socket.SOCK_STREAM:
                sock.listen(MAX_CONNECTIONS)
            self._selector.register(sock, selectors.EVENT_READ)

    def serve(self) -> None:
        """Answer until the process is ended."""
        while True:
            for key, _ in self._selector.select(timeout=1.0):
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                if sock.type == socket.SOCK_DGRAM:
                    self._datagram(sock)
                elif connection := self._connections.get(sock.fileno()):
                    self._read(connection)
                else:
                    self._accept(sock)
            self._expire(time.monotonic())

    def _datagram(self, sock: socket.socket) -> None:
        try:
            message, peer = sock.recvfrom(4096)
            if answer := respond(message, self._zone.current(), tcp=False):
                sock.sendto(answer, peer)
        except OSError:
            return  # the client is gone, or its answer cannot be routed: it will ask again

    def _accept(self, listener: socket.socket) -> None:
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        if len(self._connections) >= MAX_CONNECTIONS:
            peer.close()
            return
        peer.settimeout(1.0)  # a bound on the one blocking call, sending
        self._connections[peer.fileno()] = _Connection(peer, time.monotonic())
        self._selector.register(peer, selectors.EVENT_READ)

    def _read(self, connection: _Connection) -> None:
        try:
            data = connection.peer.recv(4096)
            connection.data += data
            if not data or not self._answer(connection):
                self._close(connection)
        except OSError:
            self._close(connection)

    def _answer(self, connection: _Connection) -> bool:
        data = connection.data
        # At most one query short of whole stays behind, so the length field bounds the buffer.
        while len(data) >= 2 and len(data) >= 2 + (length := int.from_bytes(data[:2])):
            answer = respond(bytes(data[2 : 2 + length]), self._zone.current(), tcp=True)
            del data[: 2 + length]
            if answer is None:
                return False
            connection.peer.sendall(struct.pack("!H", len(answer)) + answer)
            connection.last = time.monotonic()
        return True

    def _expire(self, now: float) -> None:
        for connection in list(self._connections.values()):
            if now - connection.last > IDLE:
                self._close(connection)

    def _close(self, connection: _Connection) -> None:
        del self._connections[connection.peer.fileno()]
        self._selector.unregister(connection.peer)
        connection.peer.close()


def main(arguments: list[str]) -> None:
    """Serve ZONE_FILE on ADDRESS...; say "ready" on stdout once every socket is bound."""
    path, *addresses = arguments
    server = Server(ZoneFile(Path(path)), addresses)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    server.serve()


if __name__ == "__main__":
    main(sys.argv[1:])
