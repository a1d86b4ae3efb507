"""The Internet checksum (RFC 1071), which IP, TCP and UDP share."""

import struct


def checksum(data: bytes) -> int:
    """Return the checksum of bytes; an odd number of them is read as if a zero followed."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
