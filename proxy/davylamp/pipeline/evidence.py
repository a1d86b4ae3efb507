"""The bytes that led to a finding, as IP packets: evidence that any dissector can read.

Nothing is put by for this while a flow is judged. When a packet is alerted on, what reassembly
still holds of its flow is cut into packets again. Their addresses, ports, sequence numbers and
bytes are those that were sent; where one packet ended and the next began, and the other header
fields, are not known any more. RFC 791 section 3.1, RFC 8200 section 3, RFC 9293 section 3.1.
"""

import struct
from itertools import batched

from davylamp.checksum import checksum
from davylamp.flow import Direction
from davylamp.flowtable import Flow
from davylamp.packet import ACK, TCP, Packet, reverse_key

PIECE = 16 * 1024
"""Payload bytes of a rebuilt packet, at most."""

_PUSH = 0x08
_WINDOW = 65535
_HOPS = 64


def rebuilt(flow: Flow, packet: Packet) -> tuple[bytes, ...]:
    """Return what a flow still holds, but for the bytes of this packet; its originator's first."""
    outward = packet.tuple_key == flow.tuple_key
    mine = Direction.ORIGINATOR if outward else Direction.RESPONDER
    found: list[bytes] = []
    for direction, stream in flow.streams:
        start, held = stream.history
        if direction is mine:
            # The packet's own bytes may end what is held; it is there itself.
            before = (packet.start - start) & 0xFFFFFFFF
            held = held[:before] if before <= len(held) else held
        other = flow.stream(direction.opposite)
        ack = other.next_seq if other is not None else 0
        origin = direction is Direction.ORIGINATOR
        key = flow.tuple_key if origin else reverse_key(flow.tuple_key)
        found += _pieces(key, start, ack, held)
    return tuple(found)


def _pieces(tuple_key: bytes, start: int, ack: int, held: bytes) -> list[bytes]:
    made: list[bytes] = []
    at = start
    for piece in batched(held, PIECE):
        made.append(tcp_packet(tuple_key, at, ack, bytes(piece)))
        at = (at + len(piece)) & 0xFFFFFFFF
    return made


def tcp_packet(tuple_key: bytes, seq: int, ack: int, payload: bytes) -> bytes:
    """Return an IP packet with these bytes; its TCP checksum is right."""
    addresses, ports = tuple_key[:-4], tuple_key[-4:]
    fields = struct.pack(">IIBBHHH", seq, ack, 5 << 4, ACK | _PUSH, _WINDOW, 0, 0)
    segment = ports + fields + payload
    pseudo = addresses + struct.pack(">II", len(segment), TCP)
    segment = segment[:16] + checksum(pseudo + segment).to_bytes(2, "big") + segment[18:]
    if len(addresses) == 8:
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0, _HOPS, TCP, 0)
        head = head[:10] + checksum(head + addresses).to_bytes(2, "big")
        return head + addresses + segment
    return struct.pack(">IHBB", 6 << 28, len(segment), TCP, _HOPS) + addresses + segment
