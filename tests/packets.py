"""IP packets by hand: one TCP connection's ends, and DNS datagrams, over IPv4 and IPv6."""

import struct
from dataclasses import dataclass, field
from ipaddress import ip_address

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
SANDBOX, OUTSIDE = "10.88.0.5", "203.0.113.9"
SANDBOX6, OUTSIDE6 = "fd88::5", "2001:db8::9"


def ip_packet(src: str, dst: str, proto: int, upper: bytes) -> bytes:
    """Return an IPv4 or IPv6 packet; checksums are the kernel's business and zero."""
    one, two = ip_address(src).packed, ip_address(dst).packed
    if len(one) == 4:
        total = 20 + len(upper)
        return struct.pack(">BBHHHBBH", 0x45, 0, total, 1, 0, 64, proto, 0) + one + two + upper
    return struct.pack(">IHBB", 6 << 28, len(upper), proto, 64) + one + two + upper


@dataclass(slots=True)
class Connection:
    """Builds the packets of one TCP connection; ``isn`` and ``peer_isn`` are before the SYN's 1.

    ``client`` and ``server`` send what follows on what that end sent last, or at an ``offset``
    into its stream. The acknowledgement is all that the other end sent so far, unless given.
    """

    src: str = SANDBOX
    dst: str = OUTSIDE
    sport: int = 40_000
    dport: int = 3333
    isn: int = 999
    peer_isn: int = 4_999
    sent: dict[str, int] = field(default_factory=lambda: {"client": 0, "server": 0})

    def syn(self, data: bytes = b"") -> bytes:
        """Return the client's SYN."""
        self.sent["client"] = max(self.sent["client"], len(data))
        return self._packet(self.isn, 0, SYN, data, out=True)

    def syn_ack(self, data: bytes = b"") -> bytes:
        """Return the server's answer to it."""
        self.sent["server"] = max(self.sent["server"], len(data))
        ack = self.isn + 1 + self.sent["client"]
        return self._packet(self.peer_isn, ack, SYN | ACK, data, out=False)

    def client(self, data: bytes, offset: int | None = None, **how: int) -> bytes:
        """Return a segment from the client."""
        return self._segment("client", data, offset, **how)

    def server(self, data: bytes, offset: int | None = None, **how: int) -> bytes:
        """Return a segment from the server."""
        return self._segment("server", data, offset, **how)

    def _segment(
        self,
        who: str,
        data: bytes,
        offset: int | None,
        flags: int = PSH | ACK,
        ack: int | None = None,
    ) -> bytes:
        out = who == "client"
        mine, theirs = (self.isn, self.peer_isn) if out else (self.peer_isn, self.isn)
        at = self.sent[who] if offset is None else offset
        self.sent[who] = max(self.sent[who], at + len(data))
        if ack is None:
            ack = theirs + 1 + self.sent["server" if out else "client"]
        return self._packet(mine + 1 + at, ack, flags, data, out=out)

    def _packet(self, seq: int, ack: int, flags: int, data: bytes, *, out: bool) -> bytes:
        ports = (self.sport, self.dport) if out else (self.dport, self.sport)
        ends = (self.src, self.dst) if out else (self.dst, self.src)
        head = struct.pack(
            ">HHIIBBHHH", *ports, seq % 2**32, ack % 2**32, 0x50, flags, 64_000, 0, 0
        )
        return ip_packet(*ends, 6, head + data)


def datagram(
    payload: bytes, *, sport: int = 33_000, dport: int = 53, src: str = SANDBOX, dst: str = OUTSIDE
) -> bytes:
    """Return a UDP datagram."""
    return ip_packet(
        src, dst, 17, struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload
    )
