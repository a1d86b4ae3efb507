"""The sample of cleared flows: copies of packets from an nftables ``log group``, over netlink.

Nothing waits on these: a lost sample is a lost look, counted and no more. The kernel gathers
packets up to a threshold or a delay, whichever is first, and sends them as one datagram.

Messages: Linux ``include/uapi/linux/netfilter/nfnetlink_log.h``.
"""

import errno
import struct
from collections.abc import Buffer
from typing import NamedTuple, Self

from davylamp import netlink
from davylamp.capture.ring import ReceiveRing
from davylamp.errors import CaptureError, KernelError

_PACKET = netlink.SUBSYSTEM_LOG << 8 | 0
_CONFIG = netlink.SUBSYSTEM_LOG << 8 | 1

_MARK, _TIMESTAMP, _PAYLOAD = 2, 3, 9
_CFG_CMD, _CFG_MODE, _CFG_BUFFER, _CFG_TIMEOUT, _CFG_THRESHOLD = 1, 2, 3, 4, 5
_CMD_BIND = 1
_COPY_PACKET = 2

_BUFFER_BYTES = 128 << 10
"""The most that the kernel gathers into one datagram (its NFULNL_NLBUFSIZ_MAX)."""
_SLOTS = 8

_u32 = struct.Struct(">I")
_timestamp = struct.Struct(">QQ")


class LoggedPacket(NamedTuple):
    """A copy of an IP packet that was forwarded, from its IP header on and perhaps cut short.

    ``timestamp`` is seconds since the epoch, None where the kernel did not stamp the packet.
    ``mark`` is the packet mark.
    """

    mark: int
    timestamp: float | None
    captured: bytes


class NfLog:
    """One NFLOG group, bound for as long as this object is open; not for two threads at once.

    The socket belongs to the network namespace of the thread that makes this object.
    """

    def __init__(
        self,
        group: int,
        *,
        copy_bytes: int = 2048,
        threshold: int = 16,
        delay: float = 0.1,
        receive_bytes: int = 8 << 20,
    ) -> None:
        """Bind the group; raise KernelError where the kernel refuses or another process has it.

        At most ``copy_bytes`` of each packet are copied (a smaller ``snaplen`` of the rule wins).
        Packets come when ``threshold`` of them are there, or after ``delay`` seconds.
        """
        self.group = group
        self.overruns = 0
        self._wait = 0.0
        self._ring = ReceiveRing(_SLOTS, _BUFFER_BYTES)
        self._socket = netlink.NetfilterSocket(receive_bytes)
        self._socket.drop_silently()
        mode = struct.pack(">IBx", copy_bytes, _COPY_PACKET)
        bind = (netlink.attribute(_CFG_CMD, struct.pack(">B", _CMD_BIND)),)
        settings = (
            netlink.attribute(_CFG_MODE, mode),
            netlink.u32(_CFG_BUFFER, _BUFFER_BYTES),
            netlink.u32(_CFG_TIMEOUT, max(1, round(delay * 100))),
            netlink.u32(_CFG_THRESHOLD, threshold),
        )
        for members in (bind, settings):
            failure = self._socket.transact(
                netlink.message(_CONFIG, netlink.REQUEST | netlink.ACK, *members, resource=group)
            )
            if failure:
                self._socket.close()
                why = netlink.why_not_bound("log", group, failure)
                raise KernelError(f"cannot bind NFLOG group {group}: {why}")

    def fileno(self) -> int:
        """Return the descriptor, readable when packets are there, for a selector."""
        return self._socket.fileno()

    def receive(self, wait: float = 0.0) -> list[LoggedPacket]:
        """Return the packets that came, oldest first; block at most ``wait`` seconds for the first.

        Nothing that a message holds raises; CaptureError means that the socket itself is dead.
        """
        if wait != self._wait:
            self._wait = wait
            self._socket.receive_timeout(wait)
        try:
            lengths = self._ring.receive(self._socket.fileno(), block=wait > 0)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise CaptureError(f"NFLOG {self.group}: socket lost: {error}") from error
            self.overruns += 1
            return []
        packets: list[LoggedPacket] = []
        for slot, length in enumerate(lengths):
            start = slot * self._ring.slot_bytes
            packets += parse(self._ring.buffer, start, start + length)
        return packets

    def close(self) -> None:
        """Unbind the group."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def parse(buffer: Buffer, start: int, end: int) -> list[LoggedPacket]:
    """Read every packet message of one datagram; what does not parse is left out."""
    return [
        packet
        for found in netlink.messages(buffer, start, end)
        if found.kind == _PACKET and (packet := _packet(buffer, found)) is not None
    ]


def _packet(buffer: Buffer, found: netlink.Message) -> LoggedPacket | None:
    view = memoryview(buffer)
    mark, timestamp, captured = 0, None, b""
    for kind, start, end in netlink.attributes(view, found.start + 4, found.end):
        if kind == _MARK and end - start >= 4:
            (mark,) = _u32.unpack_from(view, start)
        elif kind == _TIMESTAMP and end - start >= 16:
            seconds, micros = _timestamp.unpack_from(view, start)
            timestamp = seconds + micros / 1e6
        elif kind == _PAYLOAD:
            captured = bytes(view[start:end])
    return LoggedPacket(mark, timestamp, captured) if captured else None
