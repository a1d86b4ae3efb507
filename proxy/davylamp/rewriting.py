"""An IP packet with another payload of the same length, its checksum right."""

import struct

from davylamp.checksum import checksum
from davylamp.packet import TCP, UDP

_CHECKSUM_AT = {TCP: 16, UDP: 6}
_HEADER = {TCP: 20, UDP: 8}


def with_payload(ip: bytes, payload: bytes) -> bytes | None:
    """Return a whole TCP or UDP packet with its last bytes replaced.

    ``payload`` is as long as the packet's own. None where the packet's lengths do not agree with
    each other: padded, cut, or larger than its header can say. The transport's checksum is written
    anew (RFC 1071), for the kernel fills none in once a packet was replaced.
    """
    version = ip[0] >> 4
    if version == 4:
        start, proto, total = (ip[0] & 0x0F) * 4, ip[9], int.from_bytes(ip[2:4], "big")
        addresses = ip[12:20]
    else:
        start, proto, total = 40, ip[6], 40 + int.from_bytes(ip[4:6], "big")
        addresses = ip[8:40]
    if proto not in _HEADER or total != len(ip) or len(ip) - start < _HEADER[proto] + len(payload):
        return None
    at = _CHECKSUM_AT[proto]
    segment = bytearray(ip[start : len(ip) - len(payload)] + payload)
    segment[at : at + 2] = b"\0\0"
    pseudo = addresses + struct.pack(">HH", proto, len(segment))
    # For UDP over IPv4 a checksum of zero means none (RFC 768); all ones is the same number.
    found = checksum(pseudo + segment) or 0xFFFF
    segment[at : at + 2] = found.to_bytes(2, "big")
    return ip[:start] + bytes(segment)
