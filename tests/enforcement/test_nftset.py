"""Blocked endpoints refuse both ends, for as long as was asked, and can be listed and lifted."""

import time
from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.enforcement.wires import FOUR, SPEC, Addresses, Gateway, Wire

from davylamp import netlink
from davylamp.decision import Block, NameBinding
from davylamp.enforcement.nftset import Blocked, blocked_of, parse_elements
from davylamp.enforcement.spec import SteeringSpec
from davylamp.flow import Proto


def endpoint(ends: Addresses, port: int, proto: Proto = Proto.TCP) -> Block:
    """Return the block of the sandbox's way to an outside port."""
    return Block(proto, *ends.packed, port)


@pytest.mark.lab
def test_a_blocked_endpoint_refuses_at_once(wire: Wire, gateway: Gateway, ends: Addresses) -> None:
    """A new connection is refused by the kernel, other ports connect, and unblocking ends it."""
    server, other = wire.listen(ends, 3333), wire.listen(ends, 443)
    block = endpoint(ends, 3333)
    gateway.sets.block(block, 60.0)
    with pytest.raises(ConnectionRefusedError):
        wire.connect(server, ends)
    wire.connect(other, ends)
    (found,) = gateway.sets.blocked()
    assert found.block == block
    assert 50 < found.seconds <= 60
    assert gateway.sets.unblock(block)
    assert not gateway.sets.unblock(block)
    assert gateway.sets.blocked() == []
    wire.connect(server, ends)
    assert gateway.packets("refused") == 1


@pytest.mark.lab
@pytest.mark.parametrize("speaker", ["client", "server"])
def test_a_block_ends_a_flow_that_is_open(
    wire: Wire, gateway: Gateway, ends: Addresses, speaker: Literal["client", "server"]
) -> None:
    """Whoever speaks next on a flow to the endpoint, cleared or not, is reset."""
    flow = wire.connect(wire.listen(ends, 3333), ends)
    gateway.clear(flow)
    gateway.sets.block(endpoint(ends, 3333), 60.0)
    end = flow.client if speaker == "client" else flow.server
    end.sendall(b"bytes")
    with pytest.raises(ConnectionResetError):
        end.recv(100)


@pytest.mark.lab
def test_blocked_datagrams_are_refused(wire: Wire, gateway: Gateway, ends: Addresses) -> None:
    """UDP to a blocked endpoint is answered with port unreachable."""
    wire.datagrams("o", ends, 4000)
    client = wire.datagrams("s", ends)
    client.connect((ends.outside, 4000))
    gateway.sets.block(endpoint(ends, 4000, Proto.UDP), 60.0)
    client.send(b"bytes")
    with pytest.raises(ConnectionRefusedError):
        client.recv(100)


@pytest.mark.lab
def test_a_block_ends_by_itself_and_can_be_prolonged(wire: Wire, gateway: Gateway) -> None:
    """The timeout ends a block; blocking again starts it afresh, longer or shorter."""
    brief, prolonged, cut = (endpoint(FOUR, port) for port in (1, 2, 3))
    for block, seconds in ((brief, 0.3), (prolonged, 0.3), (prolonged, 60.0), (cut, 60.0)):
        gateway.sets.block(block, seconds)
    gateway.sets.block(cut, 0.3)
    time.sleep(0.6)
    assert [found.block for found in gateway.sets.blocked()] == [prolonged]


@pytest.mark.lab
def test_many_blocks_are_all_listed(gateway: Gateway) -> None:
    """A listing that takes several netlink datagrams is whole."""
    for port in range(1, 2001):
        gateway.sets.block(endpoint(FOUR, port), 60.0)
    assert {found.block.resp_port for found in gateway.sets.blocked()} == set(range(1, 2001))


@pytest.mark.lab
def test_a_thousand_bindings_are_all_made(wire: Wire, ends: Addresses) -> None:
    """However many a packet brings, none is too many for one message to the kernel."""
    made = Gateway(wire, replace(SPEC, steering=SteeringSpec(8444)))
    sandbox, outside = ends.packed
    places = [outside[:-2] + number.to_bytes(2, "big") for number in range(1000)]
    try:
        made.sets.bind(NameBinding(sandbox, place, "pypi.org", 60.0) for place in places)
        assert all(made.sets.bound(sandbox, place, "pypi.org") for place in places)
        assert not made.sets.bound(sandbox, places[0], "pypi.example")
    finally:
        made.close()


def element(key: bytes, milliseconds: int) -> bytes:
    """Return a NEWSETELEM body with one element, as the kernel lays it out."""
    value = netlink.nested(1, netlink.attribute(1, key))
    members = netlink.nested(1, value, netlink.u64(4, 99_000), netlink.u64(5, milliseconds))
    return bytes(4) + netlink.text(1, "davylamp") + netlink.nested(3, members)


def test_an_element_is_read_back() -> None:
    """Key, protocol, port and the time left come out of an element."""
    key = bytes((10, 0, 0, 1, 10, 0, 0, 2, 6, 0, 0, 0, 0x0D, 0x05, 0, 0))
    block = Block(Proto.TCP, key[:4], key[4:8], 3333)
    (found,) = parse_elements(element(key, 1500))
    assert blocked_of(found) == Blocked(block, 1.5)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=64), st.integers(0, 2**64 - 1), st.integers(0, 160))
def test_no_element_raises(key: bytes, milliseconds: int, cut: int) -> None:
    """Whatever a key holds, and wherever a message is cut, reading it raises nothing."""
    for body in (element(key, milliseconds)[:cut], key):
        list(map(blocked_of, parse_elements(body)))
