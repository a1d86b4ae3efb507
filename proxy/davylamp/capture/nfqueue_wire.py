"""NFQUEUE's messages, both ways: packets in, verdicts out. Pure: no socket is touched here.

Source: Linux ``include/uapi/linux/netfilter/nfnetlink_queue.h``; what the kernel puts in a packet
message, and in which order, is ``net/netfilter/nfnetlink_queue.c`` (nfqnl_build_packet_message).
"""

import mmap
import struct
import sys
from collections.abc import Buffer, Sequence

import msgspec

from davylamp import netlink

PACKET = netlink.SUBSYSTEM_QUEUE << 8 | 0
VERDICT = netlink.SUBSYSTEM_QUEUE << 8 | 1
CONFIG = netlink.SUBSYSTEM_QUEUE << 8 | 2
VERDICT_BATCH = netlink.SUBSYSTEM_QUEUE << 8 | 3

MAX_COPY = 0xFFFF - 4
"""Bytes of one packet that fit a netlink attribute (the kernel's NFQNL_MAX_COPY_RANGE)."""

DROP = -1
"""In place of a mark: the packet is to be dropped."""

_PACKET_HDR, _MARK, _PAYLOAD = 1, 3, 10
_VERDICT_HDR = 2
_NF_DROP, _NF_ACCEPT = 0, 1

_CFG_CMD, _CFG_PARAMS, _CFG_MAXLEN, _CFG_MASK, _CFG_FLAGS = 1, 2, 3, 4, 5
_CMD_BIND = 1
_COPY_PACKET = 2
_FLAG_FAIL_OPEN, _FLAG_GSO = 1, 4

_packet_hdr = struct.Struct(">I2xB")
_u32 = struct.Struct(">I")
_head = struct.Struct("=HH")
_accept = struct.Struct(">28sI4sI")
_MARK_HEAD = _head.pack(8, _MARK)


class QueuedPacket(msgspec.Struct, frozen=True, gc=False):
    """One IP packet that waits for its verdict.

    (A msgspec struct, because one is made for each packet: a fifth of a named tuple's cost.)
    ``captured`` is the packet from its IP header on, at most the queue's ``copy_bytes`` (a GSO
    packet may be near 64 KiB, and its checksums are not filled in yet). ``mark`` is the packet
    mark, ``hook`` the netfilter hook (2: forward).
    """

    packet_id: int
    mark: int
    hook: int
    captured: bytes


def walk(buffer: Buffer, found: netlink.Message) -> QueuedPacket | None:
    """Read a packet message whatever its layout; None where it has no packet id."""
    view = memoryview(buffer)
    packet_id: int | None = None
    hook = mark = 0
    captured = b""
    for kind, start, end in netlink.attributes(view, found.start + 4, found.end):
        size = end - start
        if kind == _PACKET_HDR and size >= _packet_hdr.size:
            packet_id, hook = _packet_hdr.unpack_from(view, start)
        elif kind == _MARK and size >= 4:
            (mark,) = _u32.unpack_from(view, start)
        elif kind == _PAYLOAD:
            captured = bytes(view[start:end])
    if packet_id is None:
        return None
    return QueuedPacket(packet_id, mark, hook, captured)


class Layout:
    """The order and sizes of one message's attributes, to read the next that is alike at once.

    The attribute headers, every one of them up to the payload's, are unpacked and compared
    together, so that no byte of a packet can pass for a header; only then are values unpacked.
    """

    __slots__ = ("_heads", "_mark_at", "_payload_at", "_values", "_want")

    def __init__(
        self, heads: struct.Struct, want: tuple[int, ...], values: struct.Struct, kinds: list[int]
    ) -> None:
        self._heads = heads.unpack_from
        self._want = want
        self._values = values.unpack_from
        self._payload_at = heads.size
        # The id and the hook are always the first two values.
        self._mark_at = 2 if _MARK in kinds else 0

    @classmethod
    def of(cls, buffer: Buffer, found: netlink.Message) -> "Layout | None":
        """Return a message's layout; None unless the id is first, the payload last, none twice."""
        members = list(netlink.attributes(buffer, found.start + 4, found.end))
        kinds = [member.kind for member in members]
        if len(kinds) < 2 or kinds[0] != _PACKET_HDR or kinds[-1] != _PAYLOAD:
            return None
        if len(set(kinds)) != len(kinds) or members[-1].end != found.end:
            return None
        heads, values, want = "=4xH14x", ">20x", [PACKET]
        for kind, start, end in members[:-1]:
            size = end - start
            value = _value_format(kind, size)
            if value is None:
                return None
            heads += f"HH{size + 3 & ~3}x"
            values += "4x" + value
            want += _head.unpack_from(buffer, start - 4)
        return cls(struct.Struct(heads + "HH"), tuple(want), struct.Struct(values), kinds)

    def read(self, buffer: mmap.mmap, start: int, length: int) -> QueuedPacket | None:
        """Read the message at ``start``, whole in ``length``; None where it is laid out otherwise.

        ``buffer`` is an mmap because slicing that gives bytes; it must have room for the layout
        past ``start``.
        """
        size = length - self._payload_at
        if self._heads(buffer, start) != (*self._want, size + 4, _PAYLOAD):
            return None
        values = self._values(buffer, start)
        payload = start + self._payload_at
        return QueuedPacket(
            values[0],
            values[self._mark_at] if self._mark_at else 0,
            values[1],
            buffer[payload : payload + size],
        )


def _value_format(kind: int, size: int) -> str | None:
    match kind, size:
        case (1, 7):
            return "I2xBx"
        case (3, 4):
            return "I"
        case (1 | 3, _):
            return None
        case _:
            return f"{size + 3 & ~3}x"


class VerdictEncoder:
    """Writes one queue's verdicts; the parts that never change are made once."""

    def __init__(self, number: int) -> None:
        self._accept, self._accept_batch, self._drop, self._drop_batch = (
            _head_of(number, kind, size, verdict)
            for verdict, size in ((_NF_ACCEPT, 40), (_NF_DROP, 32))
            for kind in (VERDICT, VERDICT_BATCH)
        )

    def encode(self, verdicts: Sequence[tuple[int, int]], *, batch: bool) -> bytes:
        """Return the messages that judge packets, each given as (packet id, new mark or DROP).

        With ``batch`` a run of equal verdicts becomes one message, which the kernel applies to
        every packet it holds up to the run's last id: ask for it only when ``verdicts`` has every
        packet that is held.
        """
        ends = _run_ends(verdicts) if batch and len(verdicts) > 1 else None
        if ends is None:
            accept, drop = self._accept, self._drop
        else:
            accept, drop, verdicts = self._accept_batch, self._drop_batch, ends
        return b"".join(
            [
                drop + _u32.pack(packet_id)
                if mark == DROP
                else _accept.pack(accept, packet_id, _MARK_HEAD, mark)
                for packet_id, mark in verdicts
            ]
        )

    def encode_replacement(self, packet_id: int, mark: int, packet: bytes) -> bytes:
        """Return the message that accepts one packet with other bytes than it came with."""
        accept = _accept.pack(self._accept, packet_id, _MARK_HEAD, mark)
        whole = accept + netlink.attribute(_PAYLOAD, packet)
        return len(whole).to_bytes(4, sys.byteorder) + whole[4:]


def _head_of(number: int, kind: int, size: int, verdict: int) -> bytes:
    """Return a verdict message up to the packet id."""
    return (
        struct.pack("=IHHII", size, kind, netlink.REQUEST, 0, 0)
        + struct.pack(">BBH", 0, 0, number)
        + struct.pack("=HH", 12, _VERDICT_HDR)
        + struct.pack(">I", verdict)
    )


def _run_ends(verdicts: Sequence[tuple[int, int]]) -> list[tuple[int, int]] | None:
    """Return the last of each run of equal verdicts; None where the ids do not ascend."""
    ends: list[tuple[int, int]] = []
    last = verdicts[0]
    for verdict in verdicts:
        if verdict[1] != last[1]:
            ends.append(last)
        if verdict[0] < last[0]:
            return None
        last = verdict
    ends.append(last)
    return ends


def encode_bind(number: int) -> bytes:
    """Return the message that binds a queue to the sending socket."""
    command = netlink.attribute(_CFG_CMD, struct.pack(">BxH", _CMD_BIND, 0))
    return netlink.message(CONFIG, netlink.REQUEST | netlink.ACK, command, resource=number)


def encode_configuration(
    number: int, copy_bytes: int, max_length: int, *, fail_open: bool
) -> bytes:
    """Return the message that sets a bound queue up: copies, length, GSO packets left whole."""
    flags = _FLAG_GSO | (_FLAG_FAIL_OPEN if fail_open else 0)
    return netlink.message(
        CONFIG,
        netlink.REQUEST | netlink.ACK,
        netlink.attribute(_CFG_PARAMS, struct.pack(">IB", copy_bytes, _COPY_PACKET)),
        netlink.u32(_CFG_MAXLEN, max_length),
        netlink.u32(_CFG_MASK, _FLAG_GSO | _FLAG_FAIL_OPEN),
        netlink.u32(_CFG_FLAGS, flags),
        resource=number,
    )
