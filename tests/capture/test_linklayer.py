"""The IP header is found under every link layer we read, and nowhere past the frame's end."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.capture.linklayer import LINK_LAYERS, NOT_IP, unknown

V4 = b"\x45" + bytes(19)
V6 = b"\x60" + bytes(39)
MACS = bytes(12)
VLAN = b"\x81\x00\x00\x05"

FRAMES = [
    ("ethernet, IPv4", 1, MACS + b"\x08\x00", V4),
    ("ethernet, IPv6", 1, MACS + b"\x86\xdd", V6),
    ("802.1Q", 1, MACS + VLAN + b"\x08\x00", V4),
    ("802.1ad over 802.1Q", 1, MACS + b"\x88\xa8\x00\x01" + VLAN + b"\x86\xdd", V6),
    ("eight tags", 1, MACS + VLAN * 8 + b"\x08\x00", V4),
    ("MPLS, two labels", 1, MACS + b"\x88\x47" + b"\0\x01\x00\x40" + b"\0\x02\x01\x40", V4),
    ("MPLS under a VLAN", 1, MACS + VLAN + b"\x88\x48" + b"\0\x02\x01\x40", V6),
    ("PPPoE", 1, MACS + b"\x88\x64" + b"\x11\x00\x00\x01\x00\x16" + b"\x00\x21", V4),
    ("PPPoE, IPv6", 1, MACS + b"\x88\x64" + b"\x11\x00\x00\x01\x00\x2a" + b"\x00\x57", V6),
    ("SNAP", 1, MACS + b"\x00\x1c" + b"\xaa\xaa\x03\x00\x00\x00" + b"\x08\x00", V4),
    ("cooked v1", 113, bytes(14) + b"\x08\x00", V4),
    ("cooked v1, VLAN", 113, bytes(14) + VLAN + b"\x86\xdd", V6),
    ("cooked v2", 276, b"\x86\xdd" + bytes(18), V6),
    ("loopback, little-endian", 0, b"\x02\x00\x00\x00", V4),
    ("loopback, big-endian", 0, b"\x00\x00\x00\x02", V4),
    ("loopback, Darwin's AF_INET6", 0, b"\x1e\x00\x00\x00", V6),
    ("loopback, network order", 108, b"\x00\x00\x00\x18", V6),
    ("raw", 101, b"", V4),
    ("raw, as BSD/OS numbers it", 12, b"", V6),
    ("raw, as OpenBSD numbers it", 14, b"", V4),
    ("raw IPv4", 228, b"", V4),
    ("raw IPv6", 229, b"", V6),
    ("PPP", 9, b"\x00\x21", V4),
    ("PPP, compressed protocol", 9, b"\x21", V4),
    ("PPP in HDLC", 50, b"\xff\x03\x00\x57", V6),
]


@pytest.mark.parametrize(
    ("link", "header", "packet"), [row[1:] for row in FRAMES], ids=[row[0] for row in FRAMES]
)
def test_found(link: int, header: bytes, packet: bytes) -> None:
    """The index is that of the IP header, wherever in the buffer the frame lies."""
    strip = LINK_LAYERS[link]
    for before in (b"", b"\x08\x00\x45"):
        buffer = before + header + packet + b"next frame"
        start = len(before)
        end = start + len(header) + len(packet)
        assert strip(buffer, start, end) == start + len(header)


@pytest.mark.parametrize(
    ("link", "header", "packet"), [row[1:] for row in FRAMES], ids=[row[0] for row in FRAMES]
)
def test_cut_short(link: int, header: bytes, packet: bytes) -> None:
    """A frame that ends within its link-layer header holds no packet, whatever lies after it."""
    buffer = header + packet
    for end in range(len(header) + 1):
        assert LINK_LAYERS[link](buffer, 0, end) == NOT_IP


NOT_PACKETS = [
    ("ARP", 1, MACS + b"\x08\x06" + bytes(28)),
    ("nine tags", 1, MACS + VLAN * 9 + b"\x08\x00" + V4),
    ("tags without end", 1, MACS + VLAN * 5000),
    ("labels without end", 1, MACS + b"\x88\x47" + bytes(40_000)),
    ("MPLS over Ethernet", 1, MACS + b"\x88\x47" + b"\0\x02\x01\x40" + bytes(40)),
    ("PPPoE discovery", 1, MACS + b"\x88\x63" + bytes(40)),
    ("PPPoE, not a session frame", 1, MACS + b"\x88\x64\x11\x09" + bytes(40)),
    ("LCP", 9, b"\xc0\x21" + bytes(40)),
    ("spanning tree", 1, MACS + b"\x00\x26\x42\x42\x03" + bytes(40)),
    ("loopback, another family", 0, b"\x07\x00\x00\x00" + V4),
    ("raw, no version", 101, b"\x00" + V4),
]


@pytest.mark.parametrize(
    ("link", "frame"), [row[1:] for row in NOT_PACKETS], ids=[row[0] for row in NOT_PACKETS]
)
def test_not_ip(link: int, frame: bytes) -> None:
    """A frame without IP is passed over."""
    assert LINK_LAYERS[link](frame, 0, len(frame)) == NOT_IP


def test_unknown() -> None:
    """No frame of an unknown link layer holds a packet."""
    assert unknown(V4, 0, len(V4)) == NOT_IP


@given(
    link=st.sampled_from(sorted(LINK_LAYERS)),
    head=st.sampled_from([row[2] for row in FRAMES]),
    tail=st.binary(max_size=64),
    cut=st.integers(0, 100),
)
@settings(max_examples=200, deadline=None)
def test_hostile_frames(link: int, head: bytes, tail: bytes, cut: int) -> None:
    """Any bytes under any link layer give an index inside the frame, or none."""
    frame = head + tail
    end = min(cut, len(frame))
    at = LINK_LAYERS[link](frame, 0, end)
    assert at == NOT_IP or 0 <= at < end
