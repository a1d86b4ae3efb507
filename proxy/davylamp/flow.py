"""The nouns of a packet's journey: flow key, direction, protocol.

A flow's *originator* is the end that opened it (a sandbox, as a rule) and its *responder* the
other; every direction in davylamp is one of the two, never "up" or "inbound".
"""

import hashlib
import ipaddress
from base64 import b64encode
from dataclasses import dataclass
from enum import IntEnum, IntFlag, StrEnum
from typing import Self


class Direction(StrEnum):
    """Who sent the bytes."""

    ORIGINATOR = "originator"
    RESPONDER = "responder"

    @property
    def opposite(self) -> "Direction":
        """The other end."""
        return _OPPOSITE[self]


_OPPOSITE = {
    Direction.ORIGINATOR: Direction.RESPONDER,
    Direction.RESPONDER: Direction.ORIGINATOR,
}


class Proto(IntEnum):
    """Transport protocols that davylamp inspects, by IANA protocol number."""

    TCP = 6
    UDP = 17


class TcpFlag(IntFlag):
    """TCP control bits (RFC 9293 section 3.1)."""

    FIN = 0x01
    SYN = 0x02
    RST = 0x04
    PSH = 0x08
    ACK = 0x10


@dataclass(frozen=True, slots=True)
class FlowKey:
    """A flow's five-tuple, written originator first.

    Addresses are packed, network order: 4 bytes for IPv4, 16 for IPv6.
    """

    proto: Proto
    orig_addr: bytes
    orig_port: int
    resp_addr: bytes
    resp_port: int

    @property
    def orig_ip(self) -> str:
        """The originator's address as text."""
        return format_address(self.orig_addr)

    @property
    def resp_ip(self) -> str:
        """The responder's address as text."""
        return format_address(self.resp_addr)

    def reversed(self) -> Self:
        """Return the same flow seen from the other end."""
        return type(self)(
            self.proto, self.resp_addr, self.resp_port, self.orig_addr, self.orig_port
        )

    def community_id(self, seed: int = 0) -> str:
        """Return the Community ID v1 of the flow (corelight/community-id-spec)."""
        one = self.orig_addr + self.orig_port.to_bytes(2, "big")
        two = self.resp_addr + self.resp_port.to_bytes(2, "big")
        if (self.orig_addr, self.orig_port) <= (self.resp_addr, self.resp_port):
            src, dst = one, two
        else:
            src, dst = two, one
        size = len(self.orig_addr)
        material = b"".join(
            (
                seed.to_bytes(2, "big"),
                src[:size],
                dst[:size],
                bytes((self.proto, 0)),
                src[size:],
                dst[size:],
            )
        )
        digest = hashlib.sha1(material, usedforsecurity=False).digest()
        return "1:" + b64encode(digest).decode("ascii")

    def __str__(self) -> str:
        return (
            f"{format_endpoint(self.orig_addr, self.orig_port)} -> "
            f"{format_endpoint(self.resp_addr, self.resp_port)}/{self.proto.name.lower()}"
        )


def format_address(packed: bytes) -> str:
    """Return a packed IPv4 or IPv6 address as text; raise ValueError on another length."""
    return str(ipaddress.ip_address(packed))


def format_endpoint(packed: bytes, port: int) -> str:
    """Return ``address:port``, with IPv6 addresses in brackets."""
    text = format_address(packed)
    return f"[{text}]:{port}" if len(packed) == 16 else f"{text}:{port}"
