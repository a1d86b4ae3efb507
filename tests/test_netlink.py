"""Netlink framing: what is written reads back, and no length can lead a reader astray."""

import errno
import socket
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp import netlink
from davylamp.errors import KernelError

members = st.lists(st.tuples(st.integers(1, 0x3FFF), st.binary(max_size=40)), max_size=6)


@settings(max_examples=200, deadline=None)
@given(members, st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
def test_a_message_reads_back(written: list[tuple[int, bytes]], kind: int, resource: int) -> None:
    """Attributes of any length come back in order, with their padding gone."""
    packed = (netlink.attribute(*member) for member in written)
    data = netlink.message(kind, netlink.REQUEST, *packed, resource=resource) * 2
    found = list(netlink.messages(data, 0, len(data)))
    assert [message.kind for message in found] == [kind, kind]
    for message in found:
        start = message.start + netlink.GENERIC_HEADER
        read = netlink.attributes(data, start, message.end)
        assert [(one.kind, data[one.start : one.end]) for one in read] == written


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 300))
def test_no_bytes_lead_out_of_the_buffer(data: bytes, start: int) -> None:
    """Whatever lengths are claimed, messages and attributes lie within what is there."""
    for message in netlink.messages(data, start, len(data)):
        assert start + 16 <= message.start <= message.end <= len(data)
        netlink.error_of(data, message)
    for one in netlink.attributes(data, start, len(data)):
        assert start + 4 <= one.start <= one.end <= len(data)


@pytest.mark.parametrize(
    ("length", "kind"), [(0, 1), (3, 1), (200, 1)], ids=["zero", "below a header", "past the end"]
)
def test_a_lying_length_ends_the_walk(length: int, kind: int) -> None:
    """A length of nothing does not loop, and one too long yields nothing."""
    assert list(netlink.attributes(struct.pack("=HH", length, kind) + bytes(8), 0, 12)) == []
    header = struct.pack("=IHHII", length, kind, 0, 0, 0)
    assert list(netlink.messages(header + bytes(8), 0, 24)) == []


def test_an_error_message_carries_its_errno() -> None:
    """NLMSG_ERROR is a negative errno, an ACK is zero, and a short one is neither."""
    for body, expected in ((struct.pack("=i", -errno.EBUSY), errno.EBUSY), (bytes(4), 0)):
        data = struct.pack("=IHHII", 20, netlink.NLMSG_ERROR, 0, 0, 0) + body
        (answer,) = netlink.messages(data, 0, len(data))
        assert netlink.error_of(data, answer) == expected
    assert netlink.error_of(b"", netlink.Message(netlink.NLMSG_ERROR, 0, 0, 0)) == 0


def test_what_cannot_be_sent_is_refused() -> None:
    """More than the send buffer takes at once is an errno like any other, and harms no other."""
    try:
        opened = netlink.NetfilterSocket()
    except KernelError as error:
        pytest.skip(str(error))
    opened.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    unknown = netlink.message(0xFF00, netlink.REQUEST | netlink.ACK)
    assert opened.transact(unknown * 4096) == errno.EMSGSIZE
    assert opened.transact(unknown) in {errno.EINVAL, errno.EPERM}
    with pytest.raises(KernelError, match="too long"):
        list(opened.dump(unknown * 4096))
    opened.close()
