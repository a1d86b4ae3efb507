"""Classic pcap files (draft-ietf-opsawg-pcap): a 24-byte header, then records to the end.

Strategy: one buffer, one index, one ``unpack_from`` and one slice a packet. A record's length is
believed only up to ``MAX_RECORD``; past that the file is damaged and reading stops there, because
nothing in this format lets a reader find the next record.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from davylamp.capture.bytesource import ByteSource
from davylamp.capture.linklayer import LINK_LAYERS, Strip, unknown

MAX_RECORD = 256 * 1024
"""Captured bytes a record may claim: libpcap's own largest snapshot length for IP links."""


@dataclass(slots=True)
class Tally:
    """What a reader counts beside the packets it yields."""

    skipped: int = 0
    """Frames that held no IP packet, or whose link layer is not known."""


@dataclass(frozen=True, slots=True)
class _Variant:
    order: str
    ticks: float  # a second in units of the record's second field
    record_header: int = 16


_VARIANTS = {
    b"\xd4\xc3\xb2\xa1": _Variant("<", 1e6),
    b"\xa1\xb2\xc3\xd4": _Variant(">", 1e6),
    b"\x4d\x3c\xb2\xa1": _Variant("<", 1e9),
    b"\xa1\xb2\x3c\x4d": _Variant(">", 1e9),
    # Kuznetzov's modified pcap: eight more bytes a record (interface, protocol, packet type)
    b"\x34\xcd\xb2\xa1": _Variant("<", 1e6, 24),
    b"\xa1\xb2\xcd\x34": _Variant(">", 1e6, 24),
}
MAGICS = frozenset(_VARIANTS)

_FILE_HEADER = 24


def read_pcap(source: ByteSource, buffer: bytes, tally: Tally) -> Iterator[tuple[float, bytes]]:
    """Yield (seconds since the epoch, IP packet) for each record, in file order.

    ``buffer`` is what was read of the file so far. Raises CaptureError, with the offset, where the
    file is cut off or damaged, after yielding every complete record before that place.
    """
    buffer = source.refill(buffer, _FILE_HEADER)
    variant, minor, strip = _file_header(source, buffer)
    # Before 2.3 the two lengths stood the other way round; 2.3 was written both ways.
    swapped, either = minor < 3, minor == 3
    unpack = struct.Struct(variant.order + "IIII").unpack_from
    ticks, head = variant.ticks, variant.record_header
    at, size = _FILE_HEADER, len(buffer)
    while True:
        start = at + head
        if start > size:
            buffer = source.refill(buffer[at:], head)
            at, start, size = 0, head, len(buffer)
            if not buffer:
                return
            if size < head:
                raise source.fault(source.handed - size, "a record header is cut off")
        seconds, fraction, length, wire = unpack(buffer, at)
        if swapped or (either and length > wire):
            length = wire
        end = start + length
        if end > size:
            if length > MAX_RECORD:
                what = f"a record claims {length} bytes; the file is damaged from here on"
                raise source.fault(source.handed - size + at, what)
            buffer = source.refill(buffer[at:], head + length)
            at, start, end, size = 0, head, head + length, len(buffer)
            if size < end:
                what = f"a record of {length} bytes is cut off after {size - head}"
                raise source.fault(source.handed - size, what)
        packet = strip(buffer, start, end)
        if packet < 0:
            tally.skipped += 1
        else:
            yield seconds + fraction / ticks, buffer[packet:end]
        at = end


def _file_header(source: ByteSource, buffer: bytes) -> tuple[_Variant, int, Strip]:
    """Return what the file header says: variant, minor version, and how to strip its frames."""
    if len(buffer) < _FILE_HEADER:
        raise source.fault(len(buffer), "the file header is cut off")
    variant = _VARIANTS[buffer[:4]]
    major, minor, link = struct.unpack_from(variant.order + "4xHH12xI", buffer)
    if major != 2 or minor > 4:
        raise source.fault(4, f"pcap version {major}.{minor} is not known (2.0 to 2.4 are)")
    # The high bits of the link type hold the frame check sequence's length.
    return variant, minor, LINK_LAYERS.get(link & 0xFFFF, unknown)
