"""The packets behind an incident, for a page: their payloads in hex, bounded."""

from collections.abc import Iterable
from ipaddress import ip_address
from struct import unpack_from

from davylamp.api.model import PacketPage, PacketView
from davylamp.events import rfc3339
from davylamp.flow import Proto
from davylamp.incidents.pcapfiles import joined
from davylamp.packet import slice_packet

PACKETS = 64
PAYLOAD_BYTES = 2048
"""Bytes of a packet that are shown; ``length`` says how many it has."""
_FILE_HEADER, _RECORD_HEADER = 24, 16


def packets_of(paths: Iterable[str]) -> PacketPage:
    """Return the first packets with a payload of these capture files, in order of time."""
    read = joined(paths)
    found: list[PacketView] = []
    missing = list(read.missing)
    at = _FILE_HEADER
    while at + _RECORD_HEADER <= len(read.pcap):
        seconds, micro, length, _ = unpack_from("<IIII", read.pcap, at)
        at += _RECORD_HEADER
        view = _view(seconds + micro / 1e6, read.pcap[at : at + length])
        at += length
        if view is None:
            continue
        if len(found) == PACKETS:
            missing.append(f"more than {PACKETS} packets: the bundle has them")
            break
        found.append(view)
    return PacketPage(packets=tuple(found), missing=tuple(missing))


def _view(at: float, data: bytes) -> PacketView | None:
    packet = slice_packet(data)
    if packet is None or not packet.payload:
        return None
    return PacketView(
        at=rfc3339(at),
        src_ip=str(ip_address(packet.src_addr)),
        src_port=packet.src_port,
        dest_ip=str(ip_address(packet.dst_addr)),
        dest_port=packet.dst_port,
        proto=Proto(packet.proto).name,
        length=len(packet.payload) + packet.missing,
        payload=packet.payload[:PAYLOAD_BYTES].hex(),
    )
