"""TCP resets for both ends of a flow, sent in the name of the other end.

A reset that RFC 5961 section 3.2 accepts at once carries exactly the sequence number its receiver
expects next; anything else in the window only earns a challenge ACK.
"""

import socket
import struct
from collections.abc import Iterable
from typing import Self

from davylamp.checksum import checksum
from davylamp.decision import Reset
from davylamp.errors import KernelError
from davylamp.flow import Proto, TcpFlag, format_address

_HOP_LIMIT = 64
_tcp = struct.Struct(">HHIIBBHHH")
_ipv4 = struct.Struct(">BBHHHBBH4s4s")
_ipv6 = struct.Struct(">IHBB16s16s")


def build_reset(reset: Reset) -> bytes:
    """Return the reset as an IP packet with its checksums (RFC 791, RFC 8200, RFC 9293).

    The sequence numbers are taken modulo 2**32.
    """
    key = reset.key
    segment = _tcp.pack(
        key.orig_port,
        key.resp_port,
        reset.seq & 0xFFFFFFFF,
        reset.ack & 0xFFFFFFFF,
        5 << 4,
        TcpFlag.RST | TcpFlag.ACK,
        0,
        0,
        0,
    )
    pseudo = key.orig_addr + key.resp_addr + struct.pack(">II", len(segment), Proto.TCP)
    segment = segment[:16] + checksum(pseudo + segment).to_bytes(2, "big") + segment[18:]
    if len(key.orig_addr) == 16:
        flow_label = 6 << 28
        fixed = (flow_label, len(segment), Proto.TCP, _HOP_LIMIT)
        return _ipv6.pack(*fixed, key.orig_addr, key.resp_addr) + segment
    # Identification 0 with "don't fragment" is RFC 6864's atomic datagram.
    head = _ipv4.pack(
        0x45, 0, 40, 0, 0x4000, _HOP_LIMIT, Proto.TCP, 0, key.orig_addr, key.resp_addr
    )
    return head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + segment


class ResetSender:
    """Raw sockets that send resets from the network namespace of the thread that made them."""

    def __init__(self) -> None:
        """Open them; raise KernelError without CAP_NET_RAW. A host without IPv6 sends IPv4 only."""
        self.failed = 0
        try:
            self._four = _raw_socket(socket.AF_INET)
        except OSError as error:
            raise KernelError(
                f"cannot open a raw socket ({error.strerror}); run as root or with CAP_NET_RAW"
            ) from error
        try:
            self._six: socket.socket | None = _raw_socket(socket.AF_INET6)
        except OSError:
            self._six = None

    def send(self, resets: Iterable[Reset]) -> int:
        """Send resets; return how many left. One that cannot be sent is counted in ``failed``.

        The packet that asked for them is dropped all the same, so a peer that hears no reset
        still gets nothing through.
        """
        sent = 0
        for reset in resets:
            via = self._six if len(reset.key.resp_addr) == 16 else self._four
            try:
                if via is None:
                    raise OSError("no IPv6")  # noqa: TRY301 - counted with the other refusals
                via.sendto(build_reset(reset), (format_address(reset.key.resp_addr), 0))
                sent += 1
            except OSError:
                self.failed += 1
        return sent

    def close(self) -> None:
        """Close the sockets."""
        self._four.close()
        if self._six is not None:
            self._six.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _raw_socket(family: socket.AddressFamily) -> socket.socket:
    # IPPROTO_RAW: we write the IP header (raw(7), and likewise for IPv6).
    raw = socket.socket(family, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_RAW)
    raw.setblocking(False)
    return raw
