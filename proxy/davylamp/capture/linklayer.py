"""Where the IP packet begins inside a captured frame, one small function per link-layer type.

A function is given the buffer and the frame's place in it, and returns the index of the IP header
or ``NOT_IP``; nothing is copied. Frames are hostile: every index is checked, every nesting bounded.
The numbers are those of https://www.tcpdump.org/linktypes.html.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

NOT_IP = -1

Strip = Callable[[bytes, int, int], int]
"""``strip(buffer, start, end)``: index of the IP header within the frame, or NOT_IP."""

_IPV4 = 0x0800
_IPV6 = 0x86DD
_VLAN = frozenset({0x8100, 0x88A8, 0x9100, 0x9200})  # IEEE 802.1Q, 802.1ad, and two older QinQ
_MPLS = frozenset({0x8847, 0x8848})  # RFC 5332 section 3
_PPPOE_SESSION = 0x8864  # RFC 2516 section 4
_MAX_LENGTH_FIELD = 1500  # IEEE 802.3: up to here the type field is a length
_SNAP = b"\xaa\xaa\x03\x00\x00\x00"  # RFC 1042

_MAX_TAGS = 8
_MAX_LABELS = 16

_PPP_IPV4 = 0x0021  # RFC 1332 section 3
_PPP_IPV6 = 0x0057  # RFC 5072 section 3

# AF_INET everywhere; AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, Darwin.
_AF_IP = frozenset({2, 10, 24, 28, 30})


def ethernet(buffer: bytes, start: int, end: int) -> int:
    """Ethernet II, 802.1Q/802.1ad tags, MPLS, PPPoE sessions and SNAP."""
    at = start + 14
    if at >= end:
        return NOT_IP
    kind = buffer[start + 12] << 8 | buffer[start + 13]
    if kind in {_IPV4, _IPV6}:
        return at
    return _payload(buffer, kind, at, end)


def linux_cooked(buffer: bytes, start: int, end: int) -> int:
    """LINKTYPE_LINUX_SLL: 16 bytes, the protocol last."""
    at = start + 16
    if at >= end:
        return NOT_IP
    return _payload(buffer, buffer[start + 14] << 8 | buffer[start + 15], at, end)


def linux_cooked_v2(buffer: bytes, start: int, end: int) -> int:
    """LINKTYPE_LINUX_SLL2: 20 bytes, the protocol first."""
    at = start + 20
    if at >= end:
        return NOT_IP
    return _payload(buffer, buffer[start] << 8 | buffer[start + 1], at, end)


def raw_ip(buffer: bytes, start: int, end: int) -> int:
    """No link layer: the version nibble says which IP it is."""
    return start if start < end and buffer[start] >> 4 in {4, 6} else NOT_IP


def loopback(buffer: bytes, start: int, end: int) -> int:
    """LINKTYPE_NULL and LINKTYPE_LOOP: four bytes of address family, in either byte order."""
    at = start + 4
    if at >= end:
        return NOT_IP
    field = buffer[start:at]
    if int.from_bytes(field, "little") in _AF_IP or int.from_bytes(field, "big") in _AF_IP:
        return raw_ip(buffer, at, end)
    return NOT_IP


def ppp(buffer: bytes, start: int, end: int) -> int:
    """PPP with or without HDLC framing (RFC 1662 section 3.1), protocol compressed or not."""
    if buffer[start : min(start + 2, end)] == b"\xff\x03":
        start += 2
    if start + 2 >= end:
        return NOT_IP
    if buffer[start] & 1:  # protocol field compression, RFC 1661 section 6.5
        kind, at = buffer[start], start + 1
    else:
        kind, at = buffer[start] << 8 | buffer[start + 1], start + 2
    return at if kind in {_PPP_IPV4, _PPP_IPV6} else NOT_IP


LINK_LAYERS: Mapping[int, Strip] = MappingProxyType(
    {
        0: loopback,  # NULL
        1: ethernet,
        9: ppp,
        12: raw_ip,  # DLT_RAW as most systems write it by mistake
        14: raw_ip,  # DLT_RAW of OpenBSD
        50: ppp,  # PPP_HDLC
        101: raw_ip,
        108: loopback,  # LOOP
        113: linux_cooked,
        228: raw_ip,  # IPV4
        229: raw_ip,  # IPV6
        276: linux_cooked_v2,
    }
)
"""The link-layer types that are read; frames of any other are skipped and counted."""


def unknown(buffer: bytes, start: int, end: int) -> int:  # noqa: ARG001 - the Strip signature
    """Any other link layer: no frame of it holds an IP packet that we know how to find."""
    return NOT_IP


def _payload(buffer: bytes, kind: int, at: int, end: int) -> int:
    """Follow EtherTypes from ``kind``, whose payload begins at ``at``, to an IP header."""
    for _ in range(_MAX_TAGS):
        if kind in _VLAN and at + 4 <= end:
            kind = buffer[at + 2] << 8 | buffer[at + 3]
            at += 4
        elif kind <= _MAX_LENGTH_FIELD and at + 8 <= end and buffer[at : at + 6] == _SNAP:
            kind = buffer[at + 6] << 8 | buffer[at + 7]
            at += 8
        else:
            break
    if kind in {_IPV4, _IPV6}:
        return at if at < end else NOT_IP
    if kind in _MPLS:
        return _below_labels(buffer, at, end)
    if kind == _PPPOE_SESSION:
        return _in_session(buffer, at, end)
    return NOT_IP


def _in_session(buffer: bytes, at: int, end: int) -> int:
    # version and type are 1, code 0 is session data; the length field is not needed
    if at + 6 < end and buffer[at] == 0x11 and buffer[at + 1] == 0:
        return ppp(buffer, at + 6, end)
    return NOT_IP


def _below_labels(buffer: bytes, at: int, end: int) -> int:
    # RFC 3032 section 2.1: the low bit of a label entry's third byte marks the bottom of the stack
    for _ in range(_MAX_LABELS):
        if at + 4 >= end:
            return NOT_IP
        bottom = buffer[at + 2] & 1
        at += 4
        if bottom:
            return raw_ip(buffer, at, end)
    return NOT_IP
