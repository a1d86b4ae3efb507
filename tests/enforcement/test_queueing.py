"""Each rule of the ruleset, on real connections, with a queue judged by hand."""

import errno
import socket
from dataclasses import replace

import pytest
from tests.enforcement.wires import (
    FOUR,
    SIX,
    SPEC,
    Addresses,
    Conversation,
    Gateway,
    Wire,
    ip_fragments,
)

from davylamp.capture import nfqueue_wire
from davylamp.capture.nflog import NfLog
from davylamp.capture.nfqueue import NfQueue
from davylamp.decision import Block, Fate
from davylamp.enforcement.spec import SteeringSpec
from davylamp.errors import KernelError
from davylamp.flow import FlowKey, Proto, TcpFlag
from davylamp.packet import slice_packet

pytestmark = pytest.mark.lab


def silent(receiver: socket.socket) -> bool:
    """Say whether nothing arrives within a moment."""
    before = receiver.gettimeout()
    receiver.settimeout(0.2)
    try:
        return not receiver.recv(1 << 16)
    except TimeoutError:
        return True
    finally:
        receiver.settimeout(before)


def speak(sender: socket.socket, times: int) -> None:
    """Say something, again and again."""
    for _ in range(times):
        sender.sendall(b'{"id":1}')


def key_of(conversation: Conversation) -> FlowKey:
    """Return the flow key, the sandbox as originator."""
    sandbox, outside = conversation.ends.packed
    client, server = conversation.client.getsockname(), conversation.server.getsockname()
    return FlowKey(Proto.TCP, sandbox, client[1], outside, server[1])


def test_bytes_wait_for_their_verdict(wire: Wire, gateway: Gateway, ends: Addresses) -> None:
    """A handshake passes unqueued; the first bytes are held until accepted, then arrive."""
    flow = wire.connect(wire.listen(ends, 3333), ends)
    assert gateway.idle()
    flow.client.sendall(b"hello")
    assert silent(flow.server)
    (packet,) = gateway.judge(Fate.ACCEPT)
    assert packet.captured.endswith(b"hello")
    assert packet.hook == 2
    assert flow.server.recv(100) == b"hello"
    flow.server.sendall(b"answer")
    (reply,) = gateway.judge(Fate.ACCEPT)
    assert reply.captured.endswith(b"answer")
    assert flow.client.recv(100) == b"answer"


def test_a_dropped_packet_is_never_delivered(wire: Wire, gateway: Gateway) -> None:
    """A drop verdict holds for the packet and, given again, for its retransmission."""
    flow = wire.connect(wire.listen(FOUR, 3333))
    flow.client.sendall(b"share")
    first, again = gateway.judge(Fate.DROP, 2)
    assert first.captured.endswith(b"share")
    assert again.captured.endswith(b"share")
    assert silent(flow.server)


def test_a_cleared_flow_leaves_the_queue(wire: Wire, gateway: Gateway, ends: Addresses) -> None:
    """After a clear verdict both directions pass with nobody to judge them."""
    flow = wire.connect(wire.listen(ends, 443), ends)
    gateway.clear(flow)
    gateway.queue.close()
    flow.server.sendall(b"x" * 300_000)
    received = b""
    while len(received) < 300_000:
        received += flow.client.recv(1 << 16)
    flow.client.sendall(b"and back")
    assert flow.server.recv(100) == b"and back"
    assert gateway.packets("cleared") == 1


def test_bits_of_others_survive(wire: Wire, gateway: Gateway) -> None:
    """A verdict keeps the mark bits that are not ours, and ours are gone when the packet leaves."""
    wire.run(
        "g",
        *("nft", "add table inet neighbour; "),
    )
    wire.run(
        "g", "nft", "add chain inet neighbour before { type filter hook prerouting priority 0; }"
    )
    wire.run("g", "nft", "add rule inet neighbour before meta mark set 0xabcd1234")
    wire.run(
        "g", "nft", "add chain inet neighbour behind { type filter hook postrouting priority 0; }"
    )
    wire.run(
        "g", "nft", "add rule inet neighbour behind tcp dport 443 meta mark 0xa0cd1234 counter"
    )
    wire.run(
        "g", "nft", "add rule inet neighbour behind tcp dport 443 meta mark != 0xabcd1234 counter"
    )
    flow = wire.connect(wire.listen(FOUR, 443))
    flow.client.sendall(b"hello")
    (packet,) = gateway.judge(Fate.CLEAR)
    assert packet.mark & 0xF0FFFFFF == 0xA0CD1234
    assert flow.server.recv(100) == b"hello"
    rules = wire.run("g", "nft", "list", "chain", "inet", "neighbour", "behind")
    assert "0xa0cd1234 counter packets" in rules
    assert "0xa0cd1234 counter packets 0 " not in rules


def test_a_trigger_brings_a_flow_back(wire: Wire, gateway: Gateway, ends: Addresses) -> None:
    """What may start a request is queued, marked as such, and a re-arm queues the rest."""
    triggered = gateway.spec.marks.triggered
    flow = wire.connect(wire.listen(ends, 443), ends)
    gateway.clear(flow)
    flow.client.sendall(b"plain")
    assert flow.server.recv(100) == b"plain"
    flow.client.sendall(b'{"method":"login"}')
    (packet,) = gateway.judge(Fate.REARM)
    assert packet.mark & triggered
    assert flow.server.recv(100) == b'{"method":"login"}'
    flow.client.sendall(b"plain again")
    (packet,) = gateway.judge(Fate.ACCEPT)
    assert not packet.mark & triggered
    assert packet.captured.endswith(b"plain again")
    assert gateway.packets("triggered") == 1
    assert gateway.packets("rearmed") == 1


def test_the_judge_is_told_of_a_connections_first_bytes(wire: Wire, ends: Addresses) -> None:
    """They alone are marked: another connection on the same ports may follow at once."""
    made = Gateway(wire, replace(SPEC, drop_invalid=True))
    marks = made.spec.marks
    said = []
    try:
        flow = wire.connect(wire.listen(ends, 443), ends)
        for data in (b"first", b"second"):
            flow.client.sendall(data)
            (packet,) = made.judge(Fate.ACCEPT)
            said.append(packet.mark & (marks.mask ^ marks.queue))
            assert flow.server.recv(100) == data
        assert made.packets("rearmed") == made.packets("cleared") == 0
    finally:
        made.close()
    assert said == [marks.opening, 0]


def test_nothing_overtakes_what_triggered(wire: Wire, gateway: Gateway, ends: Addresses) -> None:
    """While a trigger waits for its verdict all that follows in its flow waits behind it."""
    flow = wire.connect(wire.listen(ends, 443), ends)
    gateway.clear(flow)
    flow.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    flow.client.sendall(b'{"met')
    flow.client.sendall(b'hod":"login"}')
    first, second = gateway.judge(Fate.CLEAR, 2)
    assert first.captured.endswith(b'{"met')
    assert second.captured.endswith(b'hod":"login"}')
    assert flow.server.recv(18, socket.MSG_WAITALL) == b'{"method":"login"}'
    flow.client.sendall(b"plain")
    assert flow.server.recv(100) == b"plain"


def test_a_trusted_flow_triggers_nothing(wire: Wire, ends: Addresses) -> None:
    """What it carries may begin like a request; a block still ends it, soon."""
    made = Gateway(wire, replace(SPEC, steering=SteeringSpec(8444)))
    try:
        flow = wire.connect(wire.listen(ends, 5000), ends)
        made.clear(flow, Fate.TRUST)
        for _ in range(100):
            flow.client.sendall(b'{"id":1}')
            assert flow.server.recv(100) == b'{"id":1}'
        assert made.packets("triggered") == 0
        made.sets.block(Block(Proto.TCP, *ends.packed, 5000), 60.0)
        flow.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            speak(flow.client, 1000)  # the odds that none is looked at are 1 in 10**28
    finally:
        made.close()


def test_without_a_judge_a_cleared_flow_goes_on(wire: Wire, gateway: Gateway) -> None:
    """A trigger passes where nobody listens, and the flow stays cleared: it was judged once."""
    flow = wire.connect(wire.listen(FOUR, 443))
    gateway.clear(flow)
    gateway.queue.close()
    for text in (b'{"a":1}', b"plain", b'{"b":2}'):
        flow.client.sendall(text)
        assert flow.server.recv(100) == text
    assert gateway.packets("triggered") == 2


BEGINNINGS = [
    *(b"{", b"[", b" ", b"\t", b"\r", b"\n", b"P", b"PO", b"POST", b"POST /json_rpc"),
    *(b"PU", b"PUT /file", b"PA", b"PATCH", b"PATCH /file"),
    *(b'{"', b"{ ", b"{\r\n", b"[{", b"[[", b'["', b"[\n", b" {", b"\n\n", b"\t[", b"{/", b"[/"),
    *(
        '{"é": 1}'.encode(),
        '{"鉱夫":1}'.encode(),
        '{"⛏": "\U0001f50d"}'.encode(),
        b'{"a\xc3\xa9\t\xf4\x8f',
    ),
]
BEGINNINGS += [b"HTTP/1.1 101 Switching Protocols\r\n", b"HT"]
BEGINNINGS += [b'{}\n{"id":1', b'[]\n[{"id"', b'\xef\xbb\xbf{"id":1', b"CONNECT a:1 HTTP/1.1\r\n"]
BY_CHANCE = [
    *(
        b"{\x00",
        b"{1",
        b"[\xff",
        b" x",
        b"\nx",
        b"PUTTY",
        b"POSTAL",
        b"CONTENTS",
        b"HTTP/1.1 200 OK",
        b"\xef\xbf\xbd",
    ),
    *(
        b'{"\x00',
        b'{"ab\x1f',
        b'{"abcd\xff',
        b'{"\x80',
        b'{"a\xc3a',
        b'{"abc\xe9\xc3',
        b'["a\xc0\x80',
    ),
]


@pytest.mark.parametrize("first", BEGINNINGS)
def test_every_beginning_of_a_request_triggers(wire: Wire, gateway: Gateway, first: bytes) -> None:
    """All that JSON may start with, and a POST, cut anywhere, in either direction."""
    flow = wire.connect(wire.listen(FOUR, 443))
    gateway.clear(flow)
    for sender in (flow.client, flow.server):
        sender.sendall(first)
        (packet,) = gateway.judge(Fate.CLEAR)
        assert packet.captured.endswith(first)
    assert gateway.packets("triggered") == 2


@pytest.mark.parametrize("first", BY_CHANCE)
def test_bulk_that_begins_like_json_by_chance_is_let_by(
    wire: Wire, gateway: Gateway, first: bytes
) -> None:
    """What neither a JSON request nor a POST starts with is forwarded unqueued."""
    flow = wire.connect(wire.listen(FOUR, 443))
    gateway.clear(flow)
    for sender, receiver in ((flow.client, flow.server), (flow.server, flow.client)):
        sender.sendall(first)
        assert receiver.recv(100) == first
    assert gateway.packets("triggered") == 0


def test_triggers_are_bounded_for_each_flow(wire: Wire, gateway: Gateway) -> None:
    """Past its rate a flow's braces are forwarded unqueued, and another flow's are still queued."""
    listener = wire.listen(FOUR, 443)
    flow, other = wire.connect(listener), wire.connect(listener)
    for one in (flow, other):
        gateway.clear(one)
    burst = gateway.spec.triggers.burst
    for _ in range(burst):
        flow.client.sendall(b"{")
        gateway.judge(Fate.CLEAR)
        assert flow.server.recv(10) == b"{"
    flow.client.sendall(b"{")
    assert flow.server.recv(10) == b"{"
    assert gateway.packets("triggered") == burst
    other.client.sendall(b"{")
    gateway.judge(Fate.CLEAR)
    assert gateway.packets("triggered") == burst + 1


def test_a_lasting_flow_is_sampled(wire: Wire, gateway: Gateway, ends: Addresses) -> None:
    """A cleared flow that has carried enough packets is logged, at no more than its rate."""
    with wire.inside("g"), NfLog(SPEC.sample_group, delay=0.05) as log:
        flow = wire.connect(wire.listen(ends, 443), ends)
        gateway.clear(flow)
        assert log.receive(0.3) == []
        for number in range(40):
            flow.client.sendall(b"packet %02d" % number)
            flow.server.recv(100)
        packets = log.receive(3.0)
    assert packets
    assert gateway.packets("sampled") < 20
    for packet in packets:
        assert b"packet " in packet.captured


def test_bulk_is_sampled_too(wire: Wire, gateway: Gateway) -> None:
    """Full-sized packets are thinned out at random, and some of them are still logged."""
    with wire.inside("g"), NfLog(SPEC.sample_group, delay=0.05) as log:
        flow = wire.connect(wire.listen(FOUR, 443))
        gateway.clear(flow)
        for _ in range(300):  # the odds that none is looked at are 1 in 250 million
            flow.client.sendall(b"z" * 1400)
            received = 0
            while received < 1400:
                received += len(flow.server.recv(1400))
        assert log.receive(3.0)


def test_a_sample_is_cut_at_its_length(wire: Wire) -> None:
    """No more than the rule's snap length is copied, and the packet's own length is reported."""
    made = Gateway(wire, replace(SPEC, sample_bytes=200, sample_after=1))
    try:
        with wire.inside("g"), NfLog(SPEC.sample_group, delay=0.05) as log:
            flow = wire.connect(wire.listen(FOUR, 443))
            made.clear(flow)
            flow.client.sendall(b"z" * 400)
            (packet,) = log.receive(3.0)
    finally:
        made.close()
    assert len(packet.captured) == 200


def test_a_suspect_is_looked_at_again(wire: Wire, gateway: Gateway, ends: Addresses) -> None:
    """A cleared flow named suspect is queued in both directions; its neighbour is not."""
    listener = wire.listen(ends, 443)
    flow, other = wire.connect(listener, ends), wire.connect(listener, ends)
    for one in (flow, other):
        gateway.clear(one)
    gateway.sets.suspect(key_of(flow), 30.0)
    for sender, receiver in ((flow.client, flow.server), (flow.server, flow.client)):
        sender.sendall(b"bytes")
        (packet,) = gateway.judge(Fate.CLEAR)
        assert packet.mark & gateway.spec.marks.triggered
        assert receiver.recv(100) == b"bytes"
    other.client.sendall(b"bytes")
    assert other.server.recv(100) == b"bytes"
    assert gateway.packets("suspected") == 2


def test_a_segment_larger_than_the_link_arrives_whole(wire: Wire, gateway: Gateway) -> None:
    """A packet not yet cut into segments is captured as one, and reaches its peer intact."""
    flow = wire.connect(wire.listen(FOUR, 443))
    sent = bytes(range(256)) * 40
    flow.client.sendall(sent)
    (packet, *_) = gateway.judge(Fate.CLEAR)
    assert len(packet.captured) > 1500
    assert packet.captured[-64:] in sent
    received = b""
    while len(received) < len(sent):
        received += flow.server.recv(1 << 16)
    assert received == sent


def test_a_short_copy_is_cut(wire: Wire, gateway: Gateway) -> None:
    """With a small copy the capture is cut, and its header says how long the packet is."""
    gateway.queue.close()
    with wire.inside("g"):
        gateway.queues[0] = NfQueue(0, copy_bytes=100)
    flow = wire.connect(wire.listen(FOUR, 443))
    flow.client.sendall(b"z" * 1000)
    (packet,) = gateway.judge(Fate.CLEAR)
    assert len(packet.captured) == 100
    read = slice_packet(packet.captured)
    assert read is not None
    assert read.missing == 952


def test_data_in_a_syn_is_judged(wire: Wire, gateway: Gateway) -> None:
    """A SYN that carries bytes is queued; one without is not."""
    raw = wire.raw("s")
    for payload in (b"", b"mining.subscribe"):
        (packet,) = ip_fragments(payload, TcpFlag.SYN)
        raw.sendto(packet, (FOUR.outside, 0))
    (queued,) = gateway.judge(Fate.DROP)
    assert queued.captured.endswith(b"mining.subscribe")
    assert gateway.idle()


@pytest.mark.parametrize("dropped", [False, True])
def test_an_invalid_packet_is_judged_or_dropped(wire: Wire, dropped: bool) -> None:
    """A packet whose checksum is wrong reaches no judge that could believe it, where so set."""
    made = Gateway(wire, replace(SPEC, drop_invalid=dropped))
    try:
        (packet,) = ip_fragments(b"never heard", TcpFlag.ACK, valid=False)
        wire.raw("s").sendto(packet, (FOUR.outside, 0))
        if not dropped:
            made.judge(Fate.DROP)
        assert made.idle()
        assert made.packets("invalid") == int(dropped)
    finally:
        made.close()


@pytest.mark.parametrize("first", [True, False], ids=["unjudged", "cleared"])
def test_urgent_data_reaches_nobody(wire: Wire, ends: Addresses, first: bool) -> None:
    """Its receiver would read another message than the judge; a large one is no way round."""
    made = Gateway(wire, replace(SPEC, drop_invalid=True))
    try:
        flow = wire.connect(wire.listen(ends, 443), ends)
        if not first:
            made.clear(flow)
        for number, data in enumerate((b"{X", b"X" + bytes(1000)), 1):
            flow.client.send(data, socket.MSG_OOB)
            assert made.idle()
            assert made.packets("urgent") >= number  # the first ends what was cleared
        flow.server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            flow.server.recv(100)
    finally:
        made.close()


def test_connections_have_one_path(wire: Wire, ends: Addresses) -> None:
    """MPTCP is not agreed on: its ends talk TCP, whose bytes are where TCP says."""
    made = Gateway(wire, replace(SPEC, drop_invalid=True))
    if not made.kernel.features.option_reset:
        made.close()
        pytest.skip("this kernel's nft takes no TCP option out")
    try:
        with wire.inside("o"):
            listener = socket.socket(ends.family, socket.SOCK_STREAM, socket.IPPROTO_MPTCP)
        with wire.inside("s"):
            client = socket.socket(ends.family, socket.SOCK_STREAM, socket.IPPROTO_MPTCP)
        with listener, client:
            listener.bind((ends.outside, 443))
            listener.listen()
            client.connect((ends.outside, 443))
            server, _ = listener.accept()
            with server:
                client.sendall(b"hello")
                made.judge(Fate.ACCEPT)
                assert server.recv(10) == b"hello"
        heads, values = (
            line.split()
            for line in wire.run("s", "cat", "/proc/net/netstat").splitlines()
            if line.startswith("MPTcpExt")
        )
        counted = dict(zip(heads, values, strict=True))
        assert int(counted["MPCapableSYNTX"]) > 0  # it was asked for
        assert int(counted["MPCapableSYNACKRX"]) == 0  # and nobody said so
    finally:
        made.close()


def test_dns_is_judged_both_ways(wire: Wire, gateway: Gateway, ends: Addresses) -> None:
    """Queries and answers on UDP port 53 are queued; other UDP is not."""
    servers = [wire.datagrams("o", ends, port) for port in (53, 123)]
    client = wire.datagrams("s", ends)
    client.sendto(b"time", (ends.outside, 123))
    assert servers[1].recv(100) == b"time"
    client.sendto(b"question", (ends.outside, 53))
    assert gateway.judge(Fate.ACCEPT)[0].captured.endswith(b"question")
    question, asker = servers[0].recvfrom(100)
    assert question == b"question"
    servers[0].sendto(b"answer", asker)
    assert gateway.judge(Fate.ACCEPT)[0].captured.endswith(b"answer")
    assert client.recv(100) == b"answer"


def test_fragments_are_judged_as_one_packet(wire: Wire, gateway: Gateway, ends: Addresses) -> None:
    """IP fragments reach the queue reassembled, and the far end receives the datagram."""
    server, client = wire.datagrams("o", ends, 53), wire.datagrams("s", ends)
    sent = bytes(range(250)) * 16
    client.sendto(sent, (ends.outside, 53))
    (packet,) = gateway.judge(Fate.ACCEPT)
    assert packet.captured.endswith(sent)
    assert server.recv(1 << 16) == sent


def test_tcp_cut_into_fragments_is_judged(wire: Wire, gateway: Gateway) -> None:
    """A TCP segment whose port and payload are in different fragments is queued whole."""
    raw = wire.raw("s")
    for fragment in ip_fragments(b"m" * 100, TcpFlag.ACK | TcpFlag.PSH, cut=24):
        raw.sendto(fragment, (FOUR.outside, 0))
    (packet,) = gateway.judge(Fate.DROP)
    assert packet.captured.endswith(b"m" * 100)


def test_both_directions_meet_the_same_queue(wire: Wire) -> None:
    """With several queues an address pair keeps to one, whichever way its packets go."""
    made = Gateway(wire, replace(SPEC, queues=4, first_queue=8))
    seen: dict[str, set[int]] = {}
    try:
        listener = wire.listen(FOUR, 443)
        for last in range(10, 26):
            address = f"10.90.0.{last}"
            wire.run("s", "ip", "addr", "add", f"{address}/24", "dev", "e0")
            flow = wire.connect(listener, local=address)
            for sender in (flow.client, flow.server):
                sender.sendall(b"bytes")
                seen.setdefault(address, set()).add(_queue_that_got_it(made))
            flow.close()
    finally:
        made.close()
    assert all(len(queues) == 1 for queues in seen.values())
    assert len(set.union(*seen.values())) > 1


def _queue_that_got_it(gateway: Gateway) -> int:
    for _ in range(100):
        for queue in gateway.queues:
            if packets := queue.receive(0.02):
                queue.verdict(packets[0].packet_id, Fate.ACCEPT, packets[0].mark)
                queue.flush()
                return queue.number
    raise AssertionError("no queue got the packet")


@pytest.mark.parametrize("ends", [FOUR, SIX], ids=["ipv4", "ipv6"])
def test_subnets_scope_as_interfaces_do(wire: Wire, ends: Addresses) -> None:
    """A subnet's traffic is judged, and traffic of no watched subnet passes untouched."""
    watched = replace(SPEC, sandbox_interfaces=(), sandbox_subnets=("10.90.0.0/24", "fd90::/64"))
    other = replace(SPEC, sandbox_interfaces=(), sandbox_subnets=("10.99.0.0/16", "fd99::/64"))
    for spec, judged in ((watched, True), (other, False)):
        made = Gateway(wire, spec)
        try:
            with wire.listen(ends, 443) as listener:
                flow = wire.connect(listener, ends)
                flow.client.sendall(b"bytes")
                if judged:
                    made.judge(Fate.ACCEPT)
                assert flow.server.recv(100) == b"bytes"
                flow.close()
            assert made.packets("queued") == int(judged)
        finally:
            made.close()


def test_a_packet_held_back_is_not_swept_along(wire: Wire, gateway: Gateway) -> None:
    """Verdicts on later packets leave an earlier one waiting for its own."""
    listener = wire.listen(FOUR, 443)
    flows = [wire.connect(listener) for _ in range(4)]
    for number, flow in enumerate(flows):
        flow.client.sendall(b"flow %d" % number)
    held, *others = _wait_for(gateway.queue, 4)
    for packet in others:
        gateway.queue.verdict(packet.packet_id, Fate.ACCEPT, packet.mark)
    gateway.queue.flush()
    assert [flow.server.recv(100) for flow in flows[1:]] == [b"flow 1", b"flow 2", b"flow 3"]
    assert silent(flows[0].server)
    gateway.queue.verdict(held.packet_id, Fate.ACCEPT, held.mark)
    gateway.queue.flush()
    assert flows[0].server.recv(100) == b"flow 0"


def test_runs_of_verdicts_are_each_carried_out(wire: Wire, gateway: Gateway) -> None:
    """Mixed verdicts in one flush reach the packets that they were given for."""
    fates = [Fate.ACCEPT, Fate.ACCEPT, Fate.DROP, Fate.DROP, Fate.CLEAR, Fate.ACCEPT]
    listener = wire.listen(FOUR, 443)
    flows = [wire.connect(listener) for _ in fates]
    for number, flow in enumerate(flows):
        flow.client.sendall(b"flow %d" % number)
    for packet, fate in zip(_wait_for(gateway.queue, len(fates)), fates, strict=True):
        gateway.queue.verdict(packet.packet_id, fate, packet.mark)
    gateway.queue.flush()
    for number, (flow, fate) in enumerate(zip(flows, fates, strict=True)):
        if fate is Fate.DROP:
            assert silent(flow.server)
        else:
            assert flow.server.recv(100) == b"flow %d" % number
    assert gateway.packets("cleared") == 1
    assert gateway.queue.counters().refused == 0


def _wait_for(queue: NfQueue, count: int) -> list[nfqueue_wire.QueuedPacket]:
    packets: list[nfqueue_wire.QueuedPacket] = []
    while len(packets) < count:
        packets += queue.receive(3.0)
    return packets


class _Poor:
    """A queue's socket whose first sends find no memory in the kernel."""

    def __init__(self, socket: socket.socket, failures: int) -> None:
        self._socket = socket
        self.failures = failures

    def send(self, data: bytes) -> int:
        """Send what may be sent."""
        if self.failures:
            self.failures -= 1
            raise OSError(errno.ENOBUFS, "No buffer space available")
        return self._socket.send(data)

    def __getattr__(self, name: str) -> object:
        return getattr(self._socket, name)


@pytest.mark.parametrize("failures", [1, 2])
def test_a_verdict_without_memory_is_given_again(
    wire: Wire, gateway: Gateway, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    """A drop that the kernel had no memory for is no accept of the packets behind it."""
    listener = wire.listen(FOUR, 3333)
    flows = [wire.connect(listener, FOUR) for _ in range(3)]
    queue, first, others = gateway.queue, flows[0], flows[1:]
    poor = _Poor(queue._socket.socket, failures)
    monkeypatch.setattr(queue._socket, "socket", poor)
    first.client.sendall(b"bad")
    (packet,) = _wait_for(queue, 1)
    queue.verdict(packet.packet_id, Fate.DROP, packet.mark)
    queue.flush()
    for flow in others:
        flow.client.sendall(b"good")
    for packet in _wait_for(queue, 2):
        queue.verdict(packet.packet_id, Fate.ACCEPT, packet.mark)
    queue.flush()
    assert [flow.server.recv(10) for flow in others] == [b"good", b"good"]
    assert silent(first.server)
    with wire.inside("g"):
        counters = queue.counters()
    assert counters.refused == failures


def test_many_verdicts_without_memory_go_out_in_parts(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, gateway: Gateway
) -> None:
    """What was kept back is more than one message may carry, and every packet gets its verdict."""
    queue = gateway.queue
    server, client = wire.datagrams("o", FOUR, 53), wire.datagrams("s", FOUR)
    poor = _Poor(queue._socket.socket, 1 << 30)
    monkeypatch.setattr(queue._socket, "socket", poor)
    for number in range(7000):
        client.sendto(b"%d" % number, (FOUR.outside, 53))
        for packet in queue.receive():
            fate = Fate.DROP if number % 1000 else Fate.ACCEPT
            queue.verdict(packet.packet_id, fate, packet.mark)
    poor.failures = 0
    queue.flush()
    with wire.inside("g"):
        assert queue.counters().waiting == 0
    assert [server.recv(10) for _ in range(7)] == [
        b"%d" % number for number in range(0, 7000, 1000)
    ]


def test_a_replacement_without_memory_is_a_drop(
    wire: Wire, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A packet that could not be replaced does not pass as it was."""
    server, client = wire.datagrams("o", FOUR, 53), wire.datagrams("s", FOUR)
    queue = gateway.queue
    monkeypatch.setattr(queue._socket, "socket", _Poor(queue._socket.socket, 1))
    client.sendto(b"as it was", (FOUR.outside, 53))
    (packet,) = _wait_for(queue, 1)
    queue.replace(packet.packet_id, packet.captured, packet.mark)
    client.sendto(b"next", (FOUR.outside, 53))
    (packet,) = _wait_for(queue, 1)
    queue.verdict(packet.packet_id, Fate.ACCEPT, packet.mark)
    queue.flush()
    assert server.recv(10) == b"next"
    with wire.inside("g"):
        assert queue.counters().waiting == 0


@pytest.mark.parametrize("fail_open", [False, True])
def test_a_full_queue_does_as_it_was_told(wire: Wire, gateway: Gateway, fail_open: bool) -> None:
    """Packets past the queue's length are dropped and counted, or pass where that was asked for."""
    gateway.queue.close()
    with wire.inside("g"):
        gateway.queues[0] = NfQueue(0, max_length=4, fail_open=fail_open)
    server, client = wire.datagrams("o", FOUR, 53), wire.datagrams("s", FOUR)
    for number in range(10):
        client.sendto(b"%d" % number, (FOUR.outside, 53))
    with wire.inside("g"):
        counters = gateway.queue.counters()
    assert counters.waiting == 4
    if fail_open:
        assert {server.recv(10) for _ in range(6)} == {b"%d" % number for number in range(4, 10)}
    else:
        assert counters.queue_dropped == 6
        assert silent(server)


def test_a_queue_has_one_listener(wire: Wire, gateway: Gateway) -> None:
    """A second listener is told who stands in its way."""
    with wire.inside("g"), pytest.raises(KernelError, match="NFQUEUE 0: another process has it"):
        NfQueue(0)
    with wire.inside("g"), NfLog(9), pytest.raises(KernelError, match="NFLOG group 9: another"):
        NfLog(9)
