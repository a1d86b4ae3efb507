"""NFLOG's datagrams: several packets each, stamped or not, cut or not."""

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp import netlink
from davylamp.capture.nflog import LoggedPacket, parse

PACKET = netlink.SUBSYSTEM_LOG << 8
IPV4 = struct.pack(">BBH", 0x45, 0, 1052) + bytes(60)
IPV6 = struct.pack(">IH", 6 << 28, 900) + bytes(60)


def test_a_batch_is_read_in_order() -> None:
    """Mark, timestamp and bytes come out of each message."""
    stamp = netlink.attribute(3, struct.pack(">QQ", 1_700_000_000, 250_000))
    data = (
        netlink.message(PACKET, 0, netlink.u32(2, 7), stamp, netlink.attribute(9, IPV4))
        + netlink.message(PACKET, 0, netlink.attribute(9, IPV6))
        + struct.pack("=IHHII", 20, netlink.NLMSG_DONE, 0, 0, 0)
        + bytes(4)
    )
    assert parse(data, 0, len(data)) == [
        LoggedPacket(7, 1_700_000_000.25, IPV4),
        LoggedPacket(0, None, IPV6),
    ]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 220))
def test_no_datagram_raises(body: bytes, cut: int) -> None:
    """Whatever a message holds, and wherever it is cut, reading it raises nothing."""
    data = netlink.message(PACKET, 0, body)
    for packet in parse(data, 0, min(cut, len(data))):
        assert packet.captured
    parse(body, 0, len(body))
