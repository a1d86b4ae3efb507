"""A quarantine drops all that an address sends, and nothing else; shared endpoints refuse all."""

import contextlib
import socket
import struct

import pytest
from tests.enforcement.wires import FOUR, Addresses, Gateway, Wire

from davylamp.checksum import checksum
from davylamp.decision import Endpoint, Fate
from davylamp.flow import Proto

pytestmark = pytest.mark.lab

NEIGHBOUR = {4: "10.90.0.3", 6: "fd90::3"}


def pings(wire: Wire, ends: Addresses, source: str) -> bool:
    """Tell whether an echo (RFC 792, RFC 4443) from a source address is answered from outside."""
    four = ends is FOUR
    proto, asked, answered = (1, 8, 0) if four else (socket.IPPROTO_ICMPV6, 128, 129)
    echo = bytes((asked, 0)) + struct.pack(">HHH", 0, 77, 1)
    echo = echo[:2] + checksum(echo).to_bytes(2, "big") + echo[4:]  # the kernel does ICMPv6's
    with wire.inside("s"), socket.socket(ends.family, socket.SOCK_RAW, proto) as raw:
        raw.bind((source, 0))
        raw.sendto(echo, (ends.outside, 0))
        raw.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            while True:
                packet, sender = raw.recvfrom(200)
                if sender[0] == ends.outside and packet[20 if four else 0] == answered:
                    return True
    return False


def gateways_own(wire: Wire, ends: Addresses, source: str) -> bool:
    """Tell whether a connection to a port of the gateway itself comes about."""
    inside = "10.90.0.1" if ends is FOUR else "fd90::1"
    with wire.inside("g"), socket.create_server((inside, 0), family=ends.family) as server:
        there = server.getsockname()[:2]
        with wire.inside("s"), contextlib.suppress(TimeoutError):
            socket.create_connection(there, 0.5, (source, 0)).close()
            return True
    return False


def test_nothing_of_an_address_gets_out(wire: Wire, gateway: Gateway, ends: Addresses) -> None:
    """Old and new TCP, UDP, pings and the gateway's own ports; a neighbour's go on; then all do."""
    version = 4 if ends is FOUR else 6
    neighbour = NEIGHBOUR[version]
    length = "24" if version == 4 else "64"
    flags = () if version == 4 else ("nodad",)
    wire.run("s", "ip", "addr", "add", f"{neighbour}/{length}", "dev", "e0", *flags)
    server = wire.listen(ends, 443)
    ours = wire.connect(server, ends, ends.sandbox)
    theirs = wire.connect(server, ends, neighbour)
    gateway.clear(ours)
    gateway.clear(theirs)
    heard = wire.datagrams("o", ends, 4000)
    heard.settimeout(0.4)
    speaking = wire.datagrams("s", ends)
    speaking.bind((ends.sandbox, 0))

    with wire.inside("g"):
        gateway.kernel.guard(on=True)
    gateway.sets.confine(ends.packed[0], 60.0)
    assert set(gateway.sets.confined()) == {ends.packed[0]}
    ours.client.sendall(b"more")
    theirs.client.sendall(b"more")
    speaking.sendto(b"a datagram", (ends.outside, 4000))
    ours.server.settimeout(0.4)
    for waiting in (ours.server, heard):
        with pytest.raises(TimeoutError):
            waiting.recv(100)
    assert theirs.server.recv(100) == b"more"
    with wire.inside("s"), pytest.raises(TimeoutError):
        socket.create_connection((ends.outside, 443), 0.5, (ends.sandbox, 0))
    assert not pings(wire, ends, ends.sandbox)
    assert pings(wire, ends, neighbour)
    assert not gateways_own(wire, ends, ends.sandbox)
    assert gateways_own(wire, ends, neighbour)
    assert gateway.packets("quarantined") > 0

    with wire.inside("g"):
        gateway.kernel.apply()  # a gateway that was started again
    assert set(gateway.sets.confined()) == {ends.packed[0]}
    assert not gateways_own(wire, ends, ends.sandbox)

    assert gateway.sets.free(ends.packed[0])
    assert not gateway.sets.free(ends.packed[0])
    ours.server.settimeout(5)
    assert ours.server.recv(100) == b"more"  # sent again by its kernel
    assert pings(wire, ends, ends.sandbox)
    with wire.inside("g"):
        gateway.kernel.guard(on=False)
    assert "chain quarantine" not in wire.run("g", "nft", "list", "table", "inet", "davylamp")


def test_an_endpoint_is_refused_to_all(wire: Wire, gateway: Gateway, ends: Addresses) -> None:
    """New connections and open ones, over a restart too; other ports connect; then it is let."""
    server, other = wire.listen(ends, 3333), wire.listen(ends, 443)
    flow = wire.connect(server, ends)
    gateway.clear(flow)
    endpoint = Endpoint(Proto.TCP, ends.packed[1], 3333)
    gateway.sets.refuse(endpoint, 60.0)
    flow.server.sendall(b"a job")
    with pytest.raises(ConnectionResetError):
        flow.server.recv(100)
    with wire.inside("g"):
        gateway.kernel.apply()
    with pytest.raises(ConnectionRefusedError):
        wire.connect(server, ends)
    wire.connect(other, ends)
    (found,) = gateway.sets.refused().items()
    assert found[0] == endpoint
    assert 50 < found[1] <= 60
    assert gateway.sets.admit(endpoint)
    assert not gateway.sets.admit(endpoint)
    again = wire.connect(server, ends)
    again.client.sendall(b"hello")
    gateway.judge(Fate.CLEAR)
    assert again.server.recv(100) == b"hello"
