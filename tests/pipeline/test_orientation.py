"""Which end opened a flow, as far as one packet tells."""

from ipaddress import ip_address, ip_network

import pytest
from tests.packets import OUTSIDE, OUTSIDE6, SANDBOX, SANDBOX6, Connection

from davylamp.flow import Direction
from davylamp.packet import slice_packet
from davylamp.pipeline.orientation import Orientation

SITE = (ip_network("10.88.0.0/16"), ip_network("fd88::/16"))
C, S = Direction.ORIGINATOR, Direction.RESPONDER

OUT, OUT6 = Connection(sport=80, dport=40_000), Connection(SANDBOX6, OUTSIDE6, 80, 40_000)
AMONG = Connection(SANDBOX, "10.88.0.6", 80, 40_000)
AROUND = Connection(OUTSIDE, "198.51.100.1", 40_000, 80)

# name, packet, direction where the site is known, direction where it is not
CASES = [
    ("a SYN", OUT.syn(), C, C),
    ("a SYN-ACK", OUT.syn_ack(), S, S),
    ("from a sandbox", OUT.client(b"x"), C, S),
    ("to a sandbox", OUT.server(b"x"), S, C),
    ("from a sandbox over IPv6", OUT6.client(b"x"), C, S),
    ("to a sandbox over IPv6", OUT6.server(b"x"), S, C),
    ("between sandboxes, from the lower port", AMONG.client(b"x"), S, S),
    ("between sandboxes, from the higher port", AMONG.server(b"x"), C, C),
    ("between strangers, from the higher port", AROUND.client(b"x"), C, C),
    ("a SYN into a sandbox", Connection(OUTSIDE, SANDBOX, 40_000, 22).syn(), C, C),
]


@pytest.mark.parametrize(
    ("made", "known", "unknown"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_packets_direction(made: bytes, known: Direction, unknown: Direction) -> None:
    """A handshake tells, then the site's addresses, then the ports."""
    packet = slice_packet(made)
    assert packet is not None
    site = Orientation(SITE)
    assert [site.of(packet), site.of(packet)] == [known, known]
    assert Orientation(()).of(packet) is unknown


def test_what_is_behind_a_bridge_is_a_sandbox() -> None:
    """So it is without a network of the site's; it is asked once, until that is to be forgotten."""
    asked: list[bytes] = []

    def inside(address: bytes) -> bool:
        asked.append(address)
        return address == ip_address(SANDBOX).packed

    packet = slice_packet(OUT.client(b"x"))
    assert packet is not None
    site = Orientation((), inside)
    assert [site.of(packet), site.of(packet)] == [C, C]
    assert asked == [packet.src_addr, packet.dst_addr]
    site.forget()
    assert site.of(packet) is C
    assert len(asked) == 4


@pytest.mark.parametrize("site", [Orientation(()), Orientation((), lambda _: False)])
def test_a_packet_that_opens_its_connection_is_the_originators(site: Orientation) -> None:
    """Where nobody knows the sandbox, that tells before ports do."""
    packet = slice_packet(OUT.client(b"x"))
    assert packet is not None
    assert site.of(packet, opening=True) is C
    assert site.of(packet) is S
