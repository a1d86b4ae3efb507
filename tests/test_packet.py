"""Header slicing against packets whose fields are known, and against anything at all."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.packets import (
    ACK,
    FIN,
    OUTSIDE,
    OUTSIDE6,
    SANDBOX,
    SANDBOX6,
    SYN,
    Connection,
    datagram,
    ip_packet,
)

from davylamp.flow import FlowKey, Proto
from davylamp.packet import reverse_key, slice_packet

ENDS = pytest.mark.parametrize(
    "ends", [(SANDBOX, OUTSIDE), (SANDBOX6, OUTSIDE6)], ids=["IPv4", "IPv6"]
)


@ENDS
def test_a_tcp_segments_fields_are_read(ends: tuple[str, str]) -> None:
    """Ports, numbers, flags and payload come out, and the flow that they belong to."""
    packet = slice_packet(Connection(*ends, 40_000, 443, isn=6, peer_isn=8).client(b"hello"))
    assert packet is not None
    assert (packet.src_port, packet.dst_port, packet.seq, packet.ack) == (40_000, 443, 7, 9)
    assert (packet.payload, packet.missing) == (b"hello", 0)
    assert str(packet.flow_key) == (
        f"[{ends[0]}]:40000 -> [{ends[1]}]:443/tcp"
        if ":" in ends[0]
        else f"{ends[0]}:40000 -> {ends[1]}:443/tcp"
    )
    assert packet.flow_key.orig_addr == packet.src_addr
    assert packet.flow_key.resp_addr == packet.dst_addr


@ENDS
def test_the_other_directions_key_is_the_key_of_its_packets(ends: tuple[str, str]) -> None:
    """Both ends' packets name one flow."""
    connection = Connection(*ends)
    there, back = slice_packet(connection.client(b"x")), slice_packet(connection.server(b"x"))
    assert there is not None
    assert back is not None
    assert reverse_key(there.tuple_key) == back.tuple_key
    assert reverse_key(reverse_key(there.tuple_key)) == there.tuple_key
    assert there.flow_key == back.flow_key.reversed()


@ENDS
def test_a_datagrams_fields_are_read(ends: tuple[str, str]) -> None:
    """UDP has ports and payload."""
    packet = slice_packet(datagram(b"query", src=ends[0], dst=ends[1]))
    assert packet is not None
    assert packet.flow_key == FlowKey(Proto.UDP, packet.src_addr, 33_000, packet.dst_addr, 53)
    assert packet.payload == b"query"


def test_syn_and_fin_count_as_a_byte() -> None:
    """Payload starts after a SYN, and what follows a segment follows its FIN (RFC 9293 3.4)."""
    connection = Connection(isn=2**32 - 1)
    for made, start, end in (
        (connection.syn(b"ab"), 0, 2),
        (connection.client(b"c", 2, flags=FIN | ACK), 2, 4),
    ):
        packet = slice_packet(made)
        assert packet is not None
        assert (packet.start, packet.end) == (start, end)
    assert SYN == 2


def test_tcp_options_and_link_padding_are_not_payload() -> None:
    """The payload is what the headers leave, and no byte that the link added behind it."""
    head = struct.pack(">HHIIBBHHH", 1, 2, 3, 4, 0x80, ACK, 0, 0, 0) + b"\1" * 12
    packet = slice_packet(ip_packet(SANDBOX, OUTSIDE, 6, head + b"data") + b"\0" * 9)
    assert packet is not None
    assert packet.payload == b"data"


def test_what_was_not_captured_is_counted() -> None:
    """A cut packet tells how many payload bytes are missing, headers not counted."""
    whole = Connection().client(b"x" * 100)
    for kept in (140, 60, 40):
        packet = slice_packet(whole[:kept])
        assert packet is not None
        assert (len(packet.payload), packet.missing) == (kept - 40, 140 - kept)


def test_a_giant_writes_no_length() -> None:
    """A packet that offloading made too large for its length field is read to its end."""
    giant = bytearray(Connection().client(b"x" * 1000))
    giant[2:4] = b"\0\0"
    packet = slice_packet(bytes(giant))
    assert packet is not None
    assert len(packet.payload) == 1000


@pytest.mark.parametrize("count", [1, 8, 9, 60])
def test_any_number_of_extension_headers_is_passed(count: int) -> None:
    """IPv6 extension headers in front of TCP hide nothing, however many there are."""
    plain = Connection(SANDBOX6, OUTSIDE6).client(b"hello")
    options = (b"\x3c\0" + b"\1\4\0\0\0\0") * (count - 1) + b"\x06\0" + b"\1\4\0\0\0\0"
    size = len(plain) - 40 + len(options)
    made = plain[:4] + struct.pack(">HB", size, 60) + plain[7:40] + options + plain[40:]
    packet = slice_packet(made)
    assert packet is not None
    assert packet.payload == b"hello"


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_fragment_that_is_whole_is_a_packet(count: int) -> None:
    """A kernel that joins fragments takes one such header away, and the receiver the next."""
    plain = Connection(SANDBOX6, OUTSIDE6).client(b"hello")
    headers = b"\x2c\0\0\0\0\0\0\1" * (count - 1) + b"\x06\0\0\0\0\0\0\1"
    size = len(plain) - 40 + len(headers)
    made = plain[:4] + struct.pack(">HB", size, 44) + plain[7:40] + headers + plain[40:]
    packet = slice_packet(made)
    assert packet is not None
    assert packet.payload == b"hello"
    for offset in (b"\0\1", b"\0\x08"):  # more to come; and a later part
        parted = made[:42] + offset + made[44:]
        assert slice_packet(parted) is None


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("empty", b""),
        ("another protocol", ip_packet(SANDBOX, OUTSIDE, 1, bytes(20))),
        ("another protocol over IPv6", ip_packet(SANDBOX6, OUTSIDE6, 58, bytes(20))),
        ("a first fragment", b"\x45\0\0\x3c\0\1\x20\0" + bytes(52)),
        ("a later fragment", b"\x45\0\0\x3c\0\1\0\7\x40\6" + bytes(50)),
        ("a version that is none", b"\x75" + bytes(59)),
        ("a header length under 20", b"\x44" + bytes(59)),
        ("cut in the TCP header", Connection().client(b"x")[:35]),
    ],
)
def test_what_is_no_segment_or_datagram_is_none(name: str, made: bytes) -> None:
    """Everything else is left to the kernel."""
    assert slice_packet(made) is None, name


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=120), st.sampled_from([4, 6, None]))
def test_any_bytes_are_sliced_or_not(data: bytes, version: int | None) -> None:
    """Nothing raises, and no payload byte is invented."""
    if version is not None and data:
        data = bytes((version << 4 | 5,)) + data[1:]
    packet = slice_packet(data)
    assert packet is None or (packet.payload in data and packet.missing >= 0)
