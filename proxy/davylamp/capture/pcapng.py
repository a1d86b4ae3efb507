"""pcapng files (draft-ietf-opsawg-pcapng): sections of blocks, each with its length at both ends.

Strategy: the framing (type, length, length again) is checked on every block and, once broken,
ends the reading. Inside a sound frame nothing is fatal: a packet block that contradicts itself
costs that packet, the rest is read, and the first such fault is raised at the end.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from davylamp.capture.bytesource import ByteSource
from davylamp.capture.linklayer import LINK_LAYERS, Strip, unknown
from davylamp.capture.pcap import Tally

MAGIC = b"\x0a\x0d\x0d\x0a"
"""The Section Header Block's type, the same in both byte orders."""

MAX_BLOCK = 16 * 1024 * 1024
"""Bytes a block may claim: beyond any packet, with room for long name or secrets blocks."""

MAX_INTERFACES = 65_536
"""Interfaces a section may describe: what the obsolete Packet Block could count."""

LATEST = 253_402_214_400.0
"""Seconds since the epoch of 9999-12-31: 64-bit ticks reach further, calendars do not."""

_SECTION = int.from_bytes(MAGIC, "big")
_INTERFACE, _OBSOLETE_PACKET, _SIMPLE_PACKET, _ENHANCED_PACKET = 1, 2, 3, 6
_FRAME = 12  # type and length before the body, length again after it

_OPT_END, _OPT_TSRESOL, _OPT_TSOFFSET = 0, 9, 14
_BYTE_ORDERS = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}


@dataclass(frozen=True, slots=True)
class _Interface:
    strip: Strip
    snap_length: int
    ticks: float = 1e6
    """A second in units of this interface's timestamps."""
    offset: int = 0
    """Seconds to add to every timestamp."""

    def seconds(self, high: int, low: int) -> float:
        """Return the two halves of a timestamp in seconds since the epoch, kept in the calendar."""
        time = (high << 32 | low) / self.ticks + self.offset
        return min(max(time, 0.0), LATEST)


@dataclass(slots=True)
class _Section:
    order: str
    interfaces: list[_Interface] = field(default_factory=list)
    enhanced: struct.Struct = field(init=False)
    obsolete: struct.Struct = field(init=False)
    word: struct.Struct = field(init=False)

    def __post_init__(self) -> None:
        self.enhanced = struct.Struct(self.order + "IIIII")
        self.obsolete = struct.Struct(self.order + "HHIIII")
        self.word = struct.Struct(self.order + "I")

    def describe(self, buffer: bytes, body: int, end: int) -> None:
        """Take in one Interface Description Block."""
        if end - body < 8:
            raise _Fault("an interface description is too short for its fields")
        if len(self.interfaces) >= MAX_INTERFACES:
            raise _Fault(f"a section describes more than {MAX_INTERFACES} interfaces")
        self.interfaces.append(_interface(self.order, buffer, body, end))


class _Fault(Exception):  # noqa: N818 - never leaves this file
    """A block whose frame is sound and whose content is not."""


def read_pcapng(source: ByteSource, buffer: bytes, tally: Tally) -> Iterator[tuple[float, bytes]]:
    """Yield (seconds since the epoch, IP packet) for each packet block, in file order.

    A Simple Packet Block has no time of its own and takes that of the packet before it (0.0 if
    there is none). ``buffer`` is what was read of the file so far. Raises CaptureError, with the
    offset, where the framing breaks or ends early, and at the end for faults within blocks.
    """
    section = _Section("<")
    first_fault: tuple[int, str] | None = None
    now = 0.0
    for order, kind, data, body, end, offset in _blocks(source, buffer):
        try:
            if kind in {_ENHANCED_PACKET, _OBSOLETE_PACKET}:
                strip, now, start, stop = _timed_packet(section, kind, data, body, end)
            elif kind == _SIMPLE_PACKET:
                strip, start, stop = _simple_packet(section, data, body, end)
            else:
                if kind == _SECTION:
                    _check_version(source, order, data[body:end], offset)
                    section = _Section(order)
                elif kind == _INTERFACE:
                    section.describe(data, body, end)
                continue
        except _Fault as fault:
            first_fault = first_fault or (offset, str(fault))
            continue
        packet = strip(data, start, stop)
        if packet < 0:
            tally.skipped += 1
        else:
            yield now, data[packet:stop]
    if first_fault is not None:
        raise source.fault(*first_fault)


def _blocks(source: ByteSource, buffer: bytes) -> Iterator[tuple[str, int, bytes, int, int, int]]:
    """Yield every block: byte order, type, buffer, where its body begins and ends, file offset."""
    order = "<"
    pair = struct.Struct("<II").unpack_from
    at = 0
    while True:
        if len(buffer) - at < _FRAME:
            buffer, at = source.refill(buffer[at:], _FRAME), 0
            if not buffer:
                return
            if len(buffer) < _FRAME:
                raise source.fault(
                    source.handed - len(buffer), f"a block is cut off after {len(buffer)} bytes"
                )
        offset = source.handed - len(buffer) + at
        if buffer[at : at + 4] == MAGIC:
            order = _byte_order(source, buffer, at, offset)
            pair = struct.Struct(order + "II").unpack_from
        kind, length = pair(buffer, at)
        if length < _FRAME or length % 4 or length > MAX_BLOCK:
            what = f"a block claims {length} bytes; the file is damaged from here on"
            raise source.fault(offset, what)
        if len(buffer) - at < length:
            buffer, at = source.refill(buffer[at:], length), 0
            if len(buffer) < length:
                what = f"a block of {length} bytes is cut off after {len(buffer)}"
                raise source.fault(offset, what)
        end = at + length - 4
        if buffer[end : end + 4] != buffer[at + 4 : at + 8]:
            what = "a block's two lengths differ; the file is damaged from here on"
            raise source.fault(offset, what)
        yield order, kind, buffer, at + 8, end, offset
        at = end + 4


def _byte_order(source: ByteSource, buffer: bytes, at: int, offset: int) -> str:
    order = _BYTE_ORDERS.get(buffer[at + 8 : at + 12])
    if order is None:
        raise source.fault(offset, "a section header has no byte-order magic")
    return order


def _check_version(source: ByteSource, order: str, body: bytes, offset: int) -> None:
    if len(body) < 16:
        raise source.fault(offset, "a section header is too short for its fields")
    major, minor = struct.unpack_from(order + "HH", body, 4)
    if major != 1:
        raise source.fault(offset, f"pcapng version {major}.{minor} is not known (1.x is)")


def _timed_packet(
    section: _Section, kind: int, buffer: bytes, body: int, end: int
) -> tuple[Strip, float, int, int]:
    layout = section.enhanced if kind == _ENHANCED_PACKET else section.obsolete
    if end - body < 20:
        raise _Fault("a packet block is too short for its fields")
    if kind == _ENHANCED_PACKET:
        index, high, low, captured, _ = layout.unpack_from(buffer, body)
    else:
        index, _, high, low, captured, _ = layout.unpack_from(buffer, body)
    if index >= len(section.interfaces):
        raise _Fault(f"a packet block names interface {index}, which is not described")
    start = body + 20
    if captured > end - start:
        raise _Fault(f"a packet claims {captured} bytes in a block with room for {end - start}")
    interface = section.interfaces[index]
    return interface.strip, interface.seconds(high, low), start, start + captured


def _simple_packet(section: _Section, buffer: bytes, body: int, end: int) -> tuple[Strip, int, int]:
    if not section.interfaces:
        raise _Fault("a simple packet block comes before any interface is described")
    if end - body < 4:
        raise _Fault("a simple packet block is too short for its fields")
    interface = section.interfaces[0]
    length: int = section.word.unpack_from(buffer, body)[0]
    if interface.snap_length:
        length = min(length, interface.snap_length)
    start = body + 4
    if length > end - start:
        raise _Fault(f"a packet claims {length} bytes in a block with room for {end - start}")
    return interface.strip, start, start + length


def _interface(order: str, buffer: bytes, body: int, end: int) -> _Interface:
    link, snap_length = struct.unpack_from(order + "HxxI", buffer, body)
    ticks, offset = 1e6, 0
    at = body + 8
    while at + 4 <= end:  # every turn moves at least the four bytes of an option's head
        code, length = struct.unpack_from(order + "HH", buffer, at)
        value = buffer[at + 4 : min(at + 4 + length, end)]
        if code == _OPT_END:
            break
        if code == _OPT_TSRESOL and len(value) == 1:
            base = 2 if value[0] & 0x80 else 10
            ticks = float(base ** (value[0] & 0x7F))
        elif code == _OPT_TSOFFSET and len(value) == 8:
            offset = struct.unpack(order + "q", value)[0]
        at += 4 + (length + 3 & ~3)
    return _Interface(LINK_LAYERS.get(link, unknown), snap_length, ticks, offset)
