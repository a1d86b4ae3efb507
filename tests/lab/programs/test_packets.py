"""Packets built by hand are the packets another implementation reads."""

import dpkt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.lab.programs.packets import (
    Ends,
    Received,
    Unreachable,
    checksum,
    ip_packets,
    pack,
    read_back,
    tcp_segment,
)

V4 = Ends(pack("10.9.0.1"), 40000, pack("10.9.0.2"), 3333)
V6 = Ends(pack("fd09::1"), 40000, pack("fd09::2"), 3333)


def mirrored(ends: Ends) -> Ends:
    """Return the ends as the peer sees them."""
    return Ends(ends.theirs, ends.their_port, ends.ours, ends.our_port)


@pytest.mark.parametrize("payload", [b"", b"odd", b"even"])
def test_ipv4_as_dpkt_builds_it(payload: bytes) -> None:
    """Headers and checksums equal those that dpkt computes."""
    segment = tcp_segment(V4, seq=(1 << 32) + 5, ack=7, flags=0x18, payload=payload)
    (packet,) = ip_packets(V4, segment, ident=9)
    parsed = dpkt.ip.IP(packet)
    sums = parsed.sum, parsed.data.sum
    parsed.sum = parsed.data.sum = 0
    rebuilt = dpkt.ip.IP(bytes(parsed))
    assert (rebuilt.sum, rebuilt.data.sum) == sums
    assert (parsed.data.seq, parsed.data.ack, parsed.data.data) == (5, 7, payload)


def test_ipv6_checksum_covers_the_pseudo_header() -> None:
    """Over the RFC 8200 pseudo-header the sum comes out as zero."""
    segment = tcp_segment(V6, seq=1, ack=2, flags=0x18, payload=b"abc")
    pseudo = V6.ours + V6.theirs + len(segment).to_bytes(4, "big") + (6).to_bytes(4, "big")
    assert checksum(pseudo + segment) == 0
    spoilt = tcp_segment(V6, seq=1, ack=2, flags=0x18, payload=b"abc", spoil_checksum=True)
    assert checksum(pseudo + spoilt) != 0


@pytest.mark.parametrize("ends", [V4, V6], ids=["v4", "v6"])
@pytest.mark.parametrize("size", [8, 24, 31, 64])
def test_fragments_join_to_the_segment(ends: Ends, size: int) -> None:
    """Fragment offsets and the more flag put the segment together again."""
    segment = tcp_segment(ends, seq=1, ack=2, flags=0x18, payload=b"x" * 100)
    packets = list(ip_packets(ends, segment, ident=77, fragment=size))
    joined = bytearray(len(segment))
    more = []
    for packet in packets:
        if ends.v6:
            field, body = int.from_bytes(packet[42:44], "big"), packet[48:]
            offset, flag = field & 0xFFF8, field & 1
        else:
            field, body = int.from_bytes(packet[6:8], "big"), packet[20:]
            offset, flag = (field & 0x1FFF) * 8, field >> 13 & 1
        joined[offset : offset + len(body)] = body
        more.append(flag)
    assert bytes(joined) == segment
    assert more == [1] * (len(packets) - 1) + [0]


@pytest.mark.parametrize("ends", [V4, V6], ids=["v4", "v6"])
def test_read_back(ends: Ends) -> None:
    """A segment from the peer is read; one of another connection is not ours."""
    peer = mirrored(ends)
    segment = tcp_segment(peer, seq=3, ack=4, flags=0x14, payload=b"hello")
    (packet,) = ip_packets(peer, segment, ident=1)
    assert read_back(packet, ends) == Received(3, 4, 0x14, b"hello")
    assert read_back(packet, peer) is None


@pytest.mark.parametrize("ends", [V4, V6], ids=["v4", "v6"])
def test_icmp_errors_are_told(ends: Ends) -> None:
    """An ICMP error that quotes our packet is reported with type and code."""
    segment = tcp_segment(ends, seq=3, ack=4, flags=0x02)
    (ours,) = ip_packets(ends, segment, ident=1)
    kind = 1 if ends.v6 else 3
    body = bytes((kind, 13, 0, 0, 0, 0, 0, 0)) + ours
    if ends.v6:
        head = bytes((0x60, 0, 0, 0)) + len(body).to_bytes(2, "big") + bytes((58, 64))
    else:
        head = bytes((0x45, 0)) + (20 + len(body)).to_bytes(2, "big") + bytes((0, 0, 0, 0, 64, 1))
        head += bytes(2)
    assert read_back(head + ends.theirs + ends.ours + body, ends) == Unreachable(kind, 13)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=120), st.sampled_from([V4, V6]))
def test_hostile_packets_are_nothing(packet: bytes, ends: Ends) -> None:
    """Any bytes from the wire are read without an exception."""
    read_back(packet, ends)
