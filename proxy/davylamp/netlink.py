"""Netfilter's netlink protocol: message and attribute framing, and a socket that speaks it.

Strategy: bytes are sliced in place, never copied to be looked at; every length that a message
claims is held against the bytes that are there, so that a short or lying message ends the walk
instead of raising. Framing: Linux ``include/uapi/linux/netlink.h`` (nlmsghdr, nlattr) and
``netfilter/nfnetlink.h`` (nfgenmsg); numbers are in host byte order there, and big-endian inside
netfilter's own attributes.
"""

import errno
import os
import socket
import struct
from collections.abc import Buffer, Iterator
from pathlib import Path
from typing import NamedTuple

from davylamp.errors import KernelError

NETLINK_NETFILTER = 12
SUBSYSTEM_CONNTRACK = 1
SUBSYSTEM_NFTABLES = 10
SUBSYSTEM_QUEUE = 3
SUBSYSTEM_LOG = 4

REQUEST = 0x001
ACK = 0x004
DUMP = 0x300
CREATE = 0x400

NLMSG_ERROR = 2
NLMSG_DONE = 3
BATCH_BEGIN = 0x10
BATCH_END = 0x11

MESSAGE_HEADER = 16
GENERIC_HEADER = 4
"""Bytes of nlmsghdr and of the nfgenmsg that follows it."""

_SOL_NETLINK = 270
_NETLINK_NO_ENOBUFS = 5
_SO_RCVBUFFORCE = 33
_TYPE_MASK = 0x3FFF
_NESTED = 0x8000
_SEND_TIMEOUT = 5.0

_message = struct.Struct("=IHHII")
_generic = struct.Struct(">BBH")
_attribute = struct.Struct("=HH")
_error = struct.Struct("=i")


class Message(NamedTuple):
    """Where one message is in a datagram: its type, and its body from ``start`` to ``end``.

    ``start`` is just past nlmsghdr.
    """

    kind: int
    sequence: int
    start: int
    end: int


class Attribute(NamedTuple):
    """Where one attribute's value is: its type without flags, and ``start`` to ``end``."""

    kind: int
    start: int
    end: int


def messages(data: Buffer, start: int, end: int) -> Iterator[Message]:
    """Yield the whole messages between two offsets; stop at the first that does not fit."""
    while start + MESSAGE_HEADER <= end:
        length, kind, _, sequence, _ = _message.unpack_from(data, start)
        if length < MESSAGE_HEADER or start + length > end:
            return
        yield Message(kind, sequence, start + MESSAGE_HEADER, start + length)
        start += (length + 3) & ~3


def attributes(data: Buffer, start: int, end: int) -> Iterator[Attribute]:
    """Yield the whole attributes between two offsets; stop at the first that does not fit."""
    while start + 4 <= end:
        length, kind = _attribute.unpack_from(data, start)
        if length < 4 or start + length > end:
            return
        yield Attribute(kind & _TYPE_MASK, start + 4, start + length)
        start += (length + 3) & ~3


def attribute(kind: int, value: bytes) -> bytes:
    """Return one attribute, padded to four bytes."""
    return _attribute.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def nested(kind: int, *members: bytes) -> bytes:
    """Return an attribute that holds other attributes."""
    return attribute(kind | _NESTED, b"".join(members))


def u32(kind: int, value: int) -> bytes:
    """Return an attribute that holds one big-endian 32-bit number."""
    return attribute(kind, value.to_bytes(4, "big"))


def u64(kind: int, value: int) -> bytes:
    """Return an attribute that holds one big-endian 64-bit number."""
    return attribute(kind, value.to_bytes(8, "big"))


def text(kind: int, value: str) -> bytes:
    """Return an attribute that holds a NUL-terminated string."""
    return attribute(kind, value.encode() + b"\0")


def message(
    kind: int, flags: int, *members: bytes, family: int = 0, resource: int = 0, sequence: int = 0
) -> bytes:
    """Return one netfilter message; ``kind`` is the subsystem in its high byte."""
    return framed(kind, flags, _generic.pack(family, 0, resource) + b"".join(members), sequence)


def framed(kind: int, flags: int, body: bytes, sequence: int = 0) -> bytes:
    """Return one netlink message of any subsystem, its body behind the header that all have."""
    header = _message.pack(MESSAGE_HEADER + len(body), kind, flags, sequence, 0)
    return header + body + bytes(-len(body) % 4)


class NetfilterSocket:
    """A netlink socket bound to netfilter, in the network namespace of the thread that opens it."""

    def __init__(self, receive_bytes: int = 1 << 20) -> None:
        """Open it with a receive buffer of that many bytes; raise KernelError if refused."""
        try:
            self.socket = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER
            )
            self.socket.bind((0, 0))
        except OSError as error:
            raise KernelError(
                f"cannot open a netfilter netlink socket ({error.strerror}); run as root or with "
                "CAP_NET_ADMIN, on a kernel with CONFIG_NETFILTER_NETLINK"
            ) from error
        self._sequence = 0
        self._widen(receive_bytes)

    def _widen(self, receive_bytes: int) -> None:
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, receive_bytes)
        except PermissionError:  # inside a user namespace: net.core.rmem_max is the most
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)

    def drop_silently(self) -> None:
        """Let a full receive buffer lose messages without an ENOBUFS error for each loss."""
        self.socket.setsockopt(_SOL_NETLINK, _NETLINK_NO_ENOBUFS, 1)

    def receive_timeout(self, seconds: float) -> None:
        """Bound how long a receive that blocks waits; 0 is for ever (SO_RCVTIMEO)."""
        whole, part = divmod(max(0, round(seconds * 1e6)), 1_000_000)
        value = struct.pack("@ll", whole, part)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self.socket.fileno()

    def close(self) -> None:
        """Close the socket; the kernel then forgets every queue and group bound on it."""
        self.socket.close()

    def next_sequence(self) -> int:
        """Return a number that no other request of this socket carries."""
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        return self._sequence

    def transact(self, request: bytes) -> int:
        """Send messages of which one at least asks for an ACK; return 0 or the first errno.

        Netfilter's subsystems answer before ``send`` returns, so that every answer is already in
        the receive buffer: it is emptied, and nothing is waited for. What cannot even be sent is
        refused likewise: more than the send buffer takes at once is EMSGSIZE.
        """
        try:
            self.socket.send(request)
        except OSError as error:
            return error.errno or errno.EIO
        first = 0
        while True:
            try:
                data = self.socket.recv(1 << 16, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return first
            except OSError as error:
                first = first or error.errno or errno.EIO
                continue
            for answer in messages(data, 0, len(data)):
                first = first or error_of(data, answer)

    def dump(self, request: bytes) -> Iterator[bytes]:
        """Send a DUMP request and yield the body of each answer; raise KernelError on an error."""
        try:
            self.socket.send(request)
            self.socket.settimeout(_SEND_TIMEOUT)
            while True:
                data = self.socket.recv(1 << 17)
                for answer in messages(data, 0, len(data)):
                    if answer.kind == NLMSG_DONE:
                        return
                    if failure := error_of(data, answer):
                        raise KernelError(f"netlink dump refused: {os.strerror(failure)}")
                    yield data[answer.start : answer.end]
        except OSError as error:
            raise KernelError(f"netlink dump broke off: {error}") from error
        finally:
            self.socket.settimeout(None)


def error_of(data: Buffer, answer: Message) -> int:
    """Return the errno that a message carries, 0 for an ACK or any other message."""
    if answer.kind != NLMSG_ERROR or answer.end - answer.start < 4:
        return 0
    return -int(_error.unpack_from(data, answer.start)[0])


def listed(what: str, number: int) -> list[str]:
    """Return the columns of /proc's line on one nfnetlink_queue or nfnetlink_log number.

    Empty where it is not bound in the network namespace of the calling thread.
    """
    try:
        lines = Path(f"/proc/thread-self/net/netfilter/nfnetlink_{what}").read_text().splitlines()
    except OSError:
        return []
    rows = (line.split() for line in lines)
    return next((row for row in rows if row[:1] == [str(number)]), [])


def why_not_bound(what: str, number: int, failure: int) -> str:
    """Say in words why a queue or log number was refused, and what to do."""
    match failure:
        # The kernel says EPERM to both; a number in the list is bound by somebody.
        case errno.EPERM if listed(what, number):
            return "another process has it; stop that one or configure another number"
        case errno.EPERM:
            return "not permitted; run as root or with CAP_NET_ADMIN in this network namespace"
        case _:
            return f"{os.strerror(failure)}; see `davylamp doctor`"
