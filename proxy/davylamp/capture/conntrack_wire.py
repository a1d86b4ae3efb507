"""Conntrack's netlink messages: which translated flows began, ended, or are there. Pure.

Source: Linux ``include/uapi/linux/netfilter/nfnetlink_conntrack.h``; what the kernel puts in an
event is ``net/netfilter/nf_conntrack_netlink.c`` (ctnetlink_conntrack_event). Addresses and ports
are in network byte order. A flow whose source was translated has, in the direction of its replies,
another destination than its source; on the wire it is the reply turned round.
"""

import socket
import struct
from collections.abc import Buffer
from typing import NamedTuple

from davylamp import netlink

NEW = netlink.SUBSYSTEM_CONNTRACK << 8 | 0
GET = netlink.SUBSYSTEM_CONNTRACK << 8 | 1
DELETE = netlink.SUBSYSTEM_CONNTRACK << 8 | 2

GROUP_NEW, GROUP_DESTROY = 1, 3
"""Multicast groups (NFNLGRP_CONNTRACK_NEW and _DESTROY in nfnetlink.h)."""

_ORIG, _REPLY, _ID = 1, 2, 12
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_V4_SRC, _V4_DST, _V6_SRC, _V6_DST = 1, 2, 3, 4
_PROTO_NUM, _SRC_PORT, _DST_PORT = 1, 2, 3
_PROTOCOLS = {socket.IPPROTO_TCP: "tcp", socket.IPPROTO_UDP: "udp"}
_WHOLE = {_PROTO_NUM, _SRC_PORT, _DST_PORT}
_SIZES = {_V4_SRC: 4, _V4_DST: 4, _V6_SRC: 16, _V6_DST: 16}

_u32 = struct.Struct(">I")

# One tuple of an IPv4 flow as the kernel lays it out, headers and values apart, so that no value
# can pass for a header; two of them, and the id, are read at once.
_heads = struct.Struct("=" + 2 * "HHHHHH4xHH4xHHHH4xHH4xHH4x").unpack_from
_values = struct.Struct(">" + 2 * "12x4s4x4s8xB3x4xH2x4xH2x" + "4sI").unpack_from
_NESTED = 0x8000
_IPV4_HEADS = tuple(
    number
    for kind in (_ORIG, _REPLY)
    for number in (
        *(52, kind | _NESTED, 20, _TUPLE_IP | _NESTED, 8, _V4_SRC, 8, _V4_DST),
        *(28, _TUPLE_PROTO | _NESTED, 5, _PROTO_NUM, 6, _SRC_PORT, 6, _DST_PORT),
    )
)
_IPV4_BYTES = 2 * 52 + 8
_ID_HEAD = struct.pack("=HH", 8, _ID)


class Tracked(NamedTuple):
    """One translated flow: it began (or is there), or with ``ended`` it is gone.

    ``inner`` is the sandbox's address, packed, and port; ``source`` and ``destination`` are the
    ends as they are seen beyond the host. ``number`` tells it from the next with the same ends.
    """

    ended: bool
    proto: str
    inner: tuple[bytes, int]
    source: tuple[bytes, int]
    destination: tuple[bytes, int]
    number: int


class _Ends(NamedTuple):
    proto: int
    source: tuple[bytes, int]
    destination: tuple[bytes, int]


def parse(buffer: Buffer, start: int, end: int) -> list[Tracked]:
    """Read every conntrack message of one datagram; what is not a translated flow is left out."""
    return [
        tracked
        for found in netlink.messages(buffer, start, end)
        if found.kind in (NEW, DELETE)
        and (tracked := tracked_of(buffer, found.kind == DELETE, found.start, found.end))
    ]


def tracked_of(buffer: Buffer, ended: bool, start: int, end: int) -> Tracked | None:
    """Read one message from its nfgenmsg on; None where it is not about such a flow."""
    at = start + netlink.GENERIC_HEADER
    if at + _IPV4_BYTES <= end and _heads(buffer, at) == _IPV4_HEADS:
        (
            source,
            _,
            proto,
            port,
            _,
            there,
            outer,
            proto_back,
            port_there,
            port_outer,
            head,
            number,
        ) = _values(buffer, at)
        if source == outer:
            return None
        if head == _ID_HEAD and proto == proto_back:
            name = _PROTOCOLS.get(proto)
            if name is None:
                return None
            return Tracked(
                ended, name, (source, port), (outer, port_outer), (there, port_there), number
            )
    return _walked(buffer, ended, start, end)


def _walked(buffer: Buffer, ended: bool, start: int, end: int) -> Tracked | None:
    """Read a message whatever its layout."""
    view = memoryview(buffer)
    number = 0
    original: _Ends | None = None
    reply: _Ends | None = None
    for kind, at, until in netlink.attributes(view, start + netlink.GENERIC_HEADER, end):
        if kind == _ORIG:
            original = _ends(view, at, until)
        elif kind == _REPLY:
            reply = _ends(view, at, until)
            if original is None or reply is None or original.source[0] == reply.destination[0]:
                return None  # the kernel writes the original first; most flows end here
        elif kind == _ID and until - at >= 4:
            (number,) = _u32.unpack_from(view, at)
            break
    if original is None or reply is None or original.source[0] == reply.destination[0]:
        return None
    proto = _PROTOCOLS.get(original.proto)
    if proto is None or reply.proto != original.proto:
        return None
    return Tracked(ended, proto, original.source, reply.destination, reply.source, number)


def _ends(view: memoryview, start: int, end: int) -> _Ends | None:
    addresses: dict[int, bytes] = {}
    numbers: dict[int, int] = {}
    for part, at, until in netlink.attributes(view, start, end):
        if part == _TUPLE_IP:
            for kind, value, stop in netlink.attributes(view, at, until):
                if _SIZES.get(kind) == stop - value:
                    addresses[kind] = bytes(view[value:stop])
        elif part == _TUPLE_PROTO:
            for kind, value, stop in netlink.attributes(view, at, until):
                if kind in _WHOLE and stop > value:
                    numbers[kind] = int.from_bytes(view[value:stop][:2], "big")
    source, destination = (_V6_SRC, _V6_DST) if _V6_SRC in addresses else (_V4_SRC, _V4_DST)
    if source not in addresses or destination not in addresses or len(numbers) != 3:
        return None
    return _Ends(
        numbers[_PROTO_NUM],
        (addresses[source], numbers[_SRC_PORT]),
        (addresses[destination], numbers[_DST_PORT]),
    )
