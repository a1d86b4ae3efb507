"""Resets are well formed, and Linux peers accept them at once."""

import socket

import dpkt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.enforcement.wires import Addresses, Gateway, Wire

from davylamp.decision import Fate, Reset
from davylamp.enforcement.reset import ResetSender, build_reset
from davylamp.flow import FlowKey, Proto

ports = st.integers(0, 65535)
numbers = st.integers(-1, 2**33)


def ones_sum(data: bytes) -> int:
    """RFC 1071's sum, which is 0xffff over data with a right checksum."""
    words = [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]
    total = sum(words)
    return (total & 0xFFFF) + (total >> 16)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([4, 16]), st.data(), st.tuples(ports, ports), st.tuples(numbers, numbers))
def test_a_reset_reads_back(
    size: int, data: st.DataObject, pair: tuple[int, int], raw: tuple[int, int]
) -> None:
    """Another parser finds the addresses, ports and numbers; the checksums add up."""
    (orig_port, resp_port), (seq, ack) = pair, raw
    source, target = (data.draw(st.binary(min_size=size, max_size=size)) for _ in range(2))
    packet = build_reset(Reset(FlowKey(Proto.TCP, source, orig_port, target, resp_port), seq, ack))
    ip = dpkt.ip.IP(packet) if size == 4 else dpkt.ip6.IP6(packet)
    tcp = ip.data
    assert (ip.src, ip.dst, tcp.sport, tcp.dport) == (source, target, orig_port, resp_port)
    assert (tcp.seq, tcp.ack) == (seq % 2**32, ack % 2**32)
    assert tcp.flags == dpkt.tcp.TH_RST | dpkt.tcp.TH_ACK
    pseudo = source + target + bytes((0, 0, 0, 20, 0, 0, 0, 6))
    assert ones_sum(pseudo + packet[-20:]) == 0xFFFF
    if size == 4:
        assert ones_sum(packet[:20]) == 0xFFFF


@pytest.mark.lab
def test_both_ends_are_reset(wire: Wire, gateway: Gateway, ends: Addresses) -> None:
    """When the bytes are dropped, exact resets end the flow at both peers, unchallenged."""
    flow = wire.connect(wire.listen(ends, 3333), ends)
    flow.client.sendall(b"mining.subscribe\n")
    (packet,) = gateway.judge(Fate.DROP)
    seq, ack = _numbers_of(packet.captured)
    sandbox, outside = ends.packed
    out = FlowKey(Proto.TCP, sandbox, flow.client.getsockname()[1], outside, 3333)
    resets = (Reset(out, seq, ack), Reset(out.reversed(), ack, seq))
    challenges = _challenge_acks(wire)
    with wire.inside("g"), ResetSender() as sender:
        assert sender.send(resets) == 2
        assert sender.failed == 0
    for end in (flow.client, flow.server):
        with pytest.raises(ConnectionResetError):
            end.recv(100)
    assert _challenge_acks(wire) == challenges


def _challenge_acks(wire: Wire) -> list[str]:
    """Return how many challenge ACKs (RFC 5961) the sandbox and the outside have sent."""
    shown = (wire.run(host, "nstat", "-asz", "TcpExtTCPChallengeACK") for host in ("s", "o"))
    return [line.split()[-2] for line in shown]


def _numbers_of(packet: bytes) -> tuple[int, int]:
    tcp = packet[40:] if packet[0] >> 4 == 6 else packet[(packet[0] & 15) * 4 :]
    return int.from_bytes(tcp[4:8], "big"), int.from_bytes(tcp[8:12], "big")


@pytest.mark.lab
def test_a_reset_with_no_route_is_counted(wire: Wire) -> None:
    """A reset that the kernel will not route is counted and raises nothing."""
    source, target = (socket.inet_pton(socket.AF_INET, text) for text in ("10.1.1.1", "10.2.2.2"))
    with wire.inside("g"), ResetSender() as sender:
        assert sender.send([Reset(FlowKey(Proto.TCP, source, 1, target, 2), 0, 0)]) == 0
        assert sender.failed == 1
