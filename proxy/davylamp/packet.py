"""IP packets sliced, not decoded: the few header fields that the hot path needs.

Building a dpkt object per packet halves the rate at which Python can judge packets; reading seven
fields at known offsets does not. Sources: RFC 791 section 3.1, RFC 8200 sections 3 and 4, RFC 9293
section 3.1, RFC 768.
"""

from struct import Struct

import msgspec

from davylamp.flow import FlowKey, Proto, TcpFlag

_COMMON = Struct(">2xH2xHxB10xHHIIBB").unpack_from  # IPv4 without options, and TCP behind it
_TCP = Struct(">HHIIBB").unpack_from
_PORTS = Struct(">HH").unpack_from
_U16 = Struct(">H").unpack_from

_IPV6_EXTENSIONS = frozenset({0, 43, 44, 51, 60, 135})

# Plain numbers, because arithmetic with an IntFlag costs as much as slicing the packet.
FIN, SYN, RST, ACK = (int(flag) for flag in (TcpFlag.FIN, TcpFlag.SYN, TcpFlag.RST, TcpFlag.ACK))
TCP, UDP = int(Proto.TCP), int(Proto.UDP)


class Packet(msgspec.Struct, frozen=True, gc=False):
    """One TCP segment or UDP datagram.

    ``tuple_key`` is source address, destination address and both ports as they stand in the
    packet: the cheapest thing that names a direction of a flow. ``payload`` is what was captured;
    ``missing`` counts the bytes of it that were not. For UDP, ``seq``, ``ack`` and ``flags`` are 0.
    """

    proto: int
    tuple_key: bytes
    src_port: int
    dst_port: int
    seq: int
    ack: int
    flags: int
    payload: bytes
    missing: int

    @property
    def src_addr(self) -> bytes:
        """The sender's address, packed."""
        return self.tuple_key[: (len(self.tuple_key) - 4) // 2]

    @property
    def dst_addr(self) -> bytes:
        """The receiver's address, packed."""
        return self.tuple_key[(len(self.tuple_key) - 4) // 2 : -4]

    @property
    def source(self) -> bytes:
        """The source address with its port behind it."""
        key = self.tuple_key
        return key[: (len(key) - 4) // 2] + key[-4:-2]

    @property
    def destination(self) -> bytes:
        """The destination address with its port behind it."""
        key = self.tuple_key
        return key[(len(key) - 4) // 2 : -4] + key[-2:]

    @property
    def start(self) -> int:
        """The sequence number of the first payload byte (a SYN comes before it)."""
        return (self.seq + 1) & 0xFFFFFFFF if self.flags & SYN else self.seq

    @property
    def end(self) -> int:
        """The sequence number that follows this packet's bytes and its FIN."""
        size = len(self.payload) + self.missing + (self.flags & FIN)
        return (self.start + size) & 0xFFFFFFFF

    @property
    def starts_connection(self) -> bool:
        """Whether this is an originator's SYN."""
        return self.flags & (SYN | ACK) == SYN

    @property
    def flow_key(self) -> FlowKey:
        """The flow, with this packet's sender as its originator."""
        return flow_key(self.proto, self.tuple_key)


def reverse_key(tuple_key: bytes) -> bytes:
    """Return the tuple key of packets the other way."""
    size = (len(tuple_key) - 4) // 2
    return tuple_key[size : 2 * size] + tuple_key[:size] + tuple_key[-2:] + tuple_key[-4:-2]


def flow_key(proto: int, tuple_key: bytes) -> FlowKey:
    """Return the flow whose originator sends packets with this tuple key."""
    size = (len(tuple_key) - 4) // 2
    src_port, dst_port = _PORTS(tuple_key, 2 * size)
    return FlowKey(Proto(proto), tuple_key[:size], src_port, tuple_key[size : 2 * size], dst_port)


def slice_packet(ip: bytes) -> Packet | None:
    """Return the TCP or UDP packet in an IPv4 or IPv6 packet, or None for anything else.

    A fragment is None: the kernel, or ``ipfrag`` for capture files, has joined them before. Lengths
    in headers are believed only as far as there are bytes.
    """
    size = len(ip)
    if size >= 40 and ip[0] == 0x45:  # nearly every packet, at two thirds of the cost
        end, fragment, proto, src_port, dst_port, seq, ack, offset, flags = _COMMON(ip)
        data = 20 + (offset >> 4) * 4
        if proto == TCP and not fragment & 0x3FFF and 40 <= data <= end <= size:
            key, payload = ip[12:24], ip[data:end]
            return Packet(TCP, key, src_port, dst_port, seq, ack, flags, payload, 0)
    return _slice_any(ip) if size >= 28 else None


def _slice_any(ip: bytes) -> Packet | None:
    version = ip[0] >> 4
    if version == 4:
        start = (ip[0] & 0x0F) * 4
        proto = ip[9]
        end = _U16(ip, 2)[0]
        if start < 20 or (ip[6] & 0x3F or ip[7]):
            return None
        addresses = ip[12:20]
    elif version == 6 and len(ip) >= 48:
        proto, start = _upper_layer(ip)
        end = 40 + _U16(ip, 4)[0]
        addresses = ip[8:40]
    else:
        return None
    if end <= start:
        end = len(ip)  # a segmentation-offloaded giant writes 0 for its length
    if proto == TCP:
        return _tcp(ip, addresses, start, end)
    if proto == UDP:
        return _udp(ip, addresses, start, end)
    return None


def _tcp(ip: bytes, addresses: bytes, start: int, end: int) -> Packet | None:
    if start + 20 > len(ip):
        return None
    src_port, dst_port, seq, ack, offset, flags = _TCP(ip, start)
    data = start + (offset >> 4) * 4
    if data < start + 20 or data > end:
        return None
    return Packet(
        TCP,
        addresses + ip[start : start + 4],
        src_port,
        dst_port,
        seq,
        ack,
        flags,
        ip[data:end],
        end - max(data, len(ip)) if end > len(ip) else 0,
    )


def _udp(ip: bytes, addresses: bytes, start: int, end: int) -> Packet | None:
    if start + 8 > len(ip):
        return None
    src_port, dst_port = _PORTS(ip, start)
    return Packet(
        UDP,
        addresses + ip[start : start + 4],
        src_port,
        dst_port,
        0,
        0,
        0,
        ip[start + 8 : end],
        end - max(start + 8, len(ip)) if end > len(ip) else 0,
    )


def _upper_layer(ip: bytes) -> tuple[int, int]:
    """Return the transport protocol of an IPv6 packet and where its header starts.

    A fragment header of a packet that is whole (RFC 8200 section 4.5, RFC 6946) is one like others:
    of several a kernel may take one away, and the receiver the next.
    """
    kind, at = ip[6], 40
    # No bound but the packet's own: what stops at ten headers, the eleventh gets past.
    while kind in _IPV6_EXTENSIONS and at + 4 <= len(ip):
        match kind:
            case 44:
                if _U16(ip, at + 2)[0] & 0xFFF9:  # an offset, or more to come
                    break
                size = 8
            case 51:
                size = (ip[at + 1] + 2) * 4
            case _:
                size = (ip[at + 1] + 1) * 8
        kind, at = ip[at], at + size
    return kind, at
