"""Mining is never whole at its receiver, and both ends hear of the end."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from tests.handshakes import V12, der_of, handshake
from tests.packets import ACK, OUTSIDE, OUTSIDE6, PSH, SANDBOX, SANDBOX6, SYN, Connection
from tests.streams import JOB, LOGIN, POOL_NAME, RPC, SSH_CLIENT, SUBMIT, SUBSCRIBE, client_hello

from davylamp.decision import Block, Decision, Fate, Reset
from davylamp.events import Action
from davylamp.flow import FlowKey, Proto
from davylamp.lab.programs.certs import self_signed
from davylamp.pipeline import Pipeline
from davylamp.policy import Mode, Policy
from davylamp.signatures.model import Category
from davylamp.signatures.pack import Pack, load

KEY = FlowKey(Proto.TCP, bytes((10, 88, 0, 5)), 40_000, bytes((203, 0, 113, 9)), 3333)
BACK = KEY.reversed()
TO_SERVER, TO_CLIENT = 1000, 5000  # the first sequence numbers of a Connection's two streams


def run(pipeline: Pipeline, *packets: bytes) -> list[Decision]:
    """Judge packets in order."""
    return [pipeline.packet(packet, 1.0 + n) for n, packet in enumerate(packets)]


def delivered(decisions: list[Decision]) -> list[bool]:
    """Return for each packet whether it goes on to its receiver."""
    return [decision.fate is not Fate.DROP for decision in decisions]


@pytest.mark.parametrize("ends", [(SANDBOX, OUTSIDE), (SANDBOX6, OUTSIDE6)], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("line", [SUBSCRIBE, LOGIN, SUBMIT], ids=["subscribe", "login", "submit"])
def test_a_request_in_one_packet_is_dropped_reset_and_its_endpoint_blocked(
    core: Pack, line: bytes, ends: tuple[str, str]
) -> None:
    """The first packet of a miner is the last one that leaves the sandbox's host."""
    connection = Connection(*ends, dport=443)
    [decision] = run(Pipeline(core, Policy()), connection.client(line))
    assert decision.fate is Fate.DROP
    forward = decision.resets[0].key
    assert decision.resets == (
        Reset(forward, TO_SERVER, TO_CLIENT),
        Reset(forward.reversed(), TO_CLIENT, TO_SERVER),
    )
    assert (forward.orig_port, forward.resp_port) == (40_000, 443)
    assert decision.block == Block(Proto.TCP, forward.orig_addr, forward.resp_addr, 443)
    assert decision.alerts[0].verdict.action is Action.REJECT


def test_byte_by_byte_the_last_byte_is_dropped(core: Pack) -> None:
    """All that a pool gets of a login sent a byte at a time is what means nothing yet."""
    connection = Connection()
    message = LOGIN.rstrip()
    packets = [connection.client(message[at : at + 1]) for at in range(len(message))]
    decisions = run(Pipeline(core, Policy()), *packets)
    assert delivered(decisions) == [True] * (len(message) - 1) + [False]
    assert decisions[-1].resets[0] == Reset(KEY, TO_SERVER + len(message) - 1, TO_CLIENT)


def test_two_lines_in_one_segment_are_dropped_together(core: Pack) -> None:
    """A harmless line does not carry a mining one with it."""
    connection = Connection()
    first, second = run(
        Pipeline(core, Policy()), connection.client(RPC), connection.client(RPC + LOGIN + RPC)
    )
    assert first.fate is not Fate.DROP
    assert second.fate is Fate.DROP
    assert second.resets[0].seq == TO_SERVER + len(RPC)


def test_out_of_order_the_segment_that_fills_the_hole_is_dropped(core: Pack) -> None:
    """What is ahead passes, for its receiver cannot read it; what joins it does not."""
    connection = Connection()
    parts = (
        connection.client(LOGIN[:50]),
        connection.client(LOGIN[50:90]),
        connection.client(LOGIN[90:]),
    )
    decisions = run(Pipeline(core, Policy()), parts[0], parts[2], parts[1])
    assert delivered(decisions) == [True, True, False]
    assert decisions[2].resets[0].seq == TO_SERVER + 50


def test_the_first_segment_seen_second_rewinds(core: Pack) -> None:
    """A stream is read from its beginning even where that arrives late."""
    connection = Connection()
    first, second = connection.client(LOGIN[:50]), connection.client(LOGIN[50:])
    decisions = run(Pipeline(core, Policy()), second, first)
    assert delivered(decisions) == [True, False]
    assert decisions[1].resets[0].seq == TO_SERVER
    assert decisions[1].alerts[0].evidence[0].offset == 0


def test_a_retransmission_with_the_same_bytes_changes_nothing(core: Pack) -> None:
    """Repeated and overlapping segments are accepted until one completes the message."""
    connection = Connection()
    decisions = run(
        Pipeline(core, Policy()),
        connection.client(LOGIN[:50]),
        connection.client(LOGIN[:50], 0),
        connection.client(LOGIN[30:60], 30),
        connection.client(LOGIN[20:], 20),
    )
    assert delivered(decisions) == [True] * 3 + [False]
    assert decisions[3].resets[0].seq == TO_SERVER + 60


def test_a_retransmission_with_other_bytes_is_dropped_and_told(core: Pack) -> None:
    """First-received wins: who sends two versions gets the first one through, and an alert."""
    connection = Connection()
    harmless = b"x" * 40
    decisions = run(
        Pipeline(core, Policy()),
        connection.client(LOGIN[:30]),
        connection.client(harmless, 30),
        connection.client(LOGIN[30:70], 30),
        connection.client(LOGIN[70:], 70),
    )
    assert delivered(decisions) == [True, True, False, True]
    [alert] = decisions[2].alerts
    assert alert.alert.signature_id == "tcp-overlap-conflict"
    assert alert.verdict.action is Action.ALERT


def test_a_keep_alive_probe_is_no_conflict(core: Pack) -> None:
    """A byte sent again with another value, as keep-alives do, is withheld but not an event."""
    connection = Connection()
    pipeline = Pipeline(core, Policy())
    decisions = run(
        pipeline,
        connection.client(LOGIN[:30]),
        connection.client(b"\0", 29),
        connection.client(LOGIN[30:], 30),
    )
    assert delivered(decisions) == [True, False, False]
    assert pipeline.stats.conflicts == 0
    assert decisions[1].alerts == ()


@pytest.mark.parametrize("isn", [2**32 - 30, 2**32 - 1, 2**31 - 20])
def test_sequence_numbers_wrap(core: Pack, isn: int) -> None:
    """A request that straddles the end of the sequence numbers is one request."""
    connection = Connection(isn=isn, peer_isn=isn)
    parts = [connection.client(LOGIN[at : at + 40]) for at in range(0, len(LOGIN), 40)]
    decisions = run(Pipeline(core, Policy()), *parts)
    assert delivered(decisions) == [True] * (len(parts) - 1) + [False]
    last = (len(parts) - 1) * 40
    assert decisions[-1].resets[0].seq == (isn + 1 + last) % 2**32


def test_data_in_a_syn_is_judged_and_its_sender_answered_as_in_syn_sent(core: Pack) -> None:
    """The pool never hears of it; the miner's half-open socket checks the acknowledgement."""
    connection = Connection()
    [decision] = run(Pipeline(core, Policy()), connection.syn(LOGIN))
    assert decision.fate is Fate.DROP
    assert decision.resets == (Reset(BACK, 0, TO_SERVER),)


def test_half_a_request_in_a_syn_counts(core: Pack) -> None:
    """The stream begins after the SYN's own sequence number, and half of it may be in the SYN."""
    connection = Connection()
    decisions = run(
        Pipeline(core, Policy()), connection.syn(LOGIN[:20]), connection.client(LOGIN[20:])
    )
    assert delivered(decisions) == [True, False]
    assert decisions[1].resets[0].seq == TO_SERVER + 20


def test_data_in_a_syn_ack_resets_both_ends_of_the_handshake(core: Pack) -> None:
    """The miner is in SYN-SENT and checks the ack; the pool in SYN-RECEIVED checks the number."""
    connection = Connection()
    [decision] = run(Pipeline(core, Policy()), connection.syn_ack(JOB))
    assert decision.resets == (
        Reset(BACK, TO_CLIENT - 1, TO_SERVER),
        Reset(KEY, TO_SERVER, TO_CLIENT),
    )


def test_a_pools_job_is_dropped_before_the_miner_has_it(core: Pack) -> None:
    """Joined midstream, the pool's side alone is enough; the numbers are each end's own."""
    connection = Connection(sent={"client": 700, "server": 900})
    [decision] = run(Pipeline(core, Policy()), connection.server(JOB))
    assert decision.fate is Fate.DROP
    assert decision.resets == (
        Reset(BACK, TO_CLIENT + 900, TO_SERVER + 700),
        Reset(KEY, TO_SERVER + 700, TO_CLIENT + 900),
    )
    assert decision.block == Block(Proto.TCP, KEY.orig_addr, KEY.resp_addr, 3333)


def test_a_sender_that_has_not_acknowledged_yet_is_reset_at_both_numbers(core: Pack) -> None:
    """What was delivered to the miner after it sent is counted, and so is what it acknowledged."""
    connection = Connection()
    greeting = connection.server(RPC)
    [_, decision] = run(Pipeline(core, Policy()), greeting, connection.client(LOGIN, ack=TO_CLIENT))
    assert decision.resets == (
        Reset(KEY, TO_SERVER, TO_CLIENT),
        Reset(BACK, TO_CLIENT, TO_SERVER),
        Reset(BACK, TO_CLIENT + len(RPC), TO_SERVER),
    )


def test_a_blocked_flow_carries_nothing_more(core: Pack) -> None:
    """What follows is dropped without another alert, and who sends it is reset again."""
    connection = Connection()
    pipeline = Pipeline(core, Policy())
    decisions = run(
        pipeline,
        connection.client(LOGIN),
        connection.client(LOGIN, 0),
        connection.client(RPC),
        connection.server(RPC, ack=TO_SERVER),
    )
    assert delivered(decisions) == [False] * 4
    assert [decision.alerts for decision in decisions[1:]] == [()] * 3
    assert decisions[1].resets == (Reset(BACK, TO_CLIENT, TO_SERVER + len(LOGIN)),)
    assert decisions[3].resets == (Reset(KEY, TO_SERVER, TO_CLIENT + len(RPC)),)
    assert pipeline.stats.blocked == 1


def test_a_policy_of_drop_sends_no_reset(core: Pack) -> None:
    """Where a site prefers silence, the flow starves."""
    policy = Policy(actions={**Policy().actions, Category.MINING: Action.DROP})
    connection = Connection()
    decisions = run(Pipeline(core, policy), connection.client(LOGIN), connection.client(RPC))
    assert delivered(decisions) == [False, False]
    assert [decision.resets for decision in decisions] == [(), ()]


def test_a_pools_name_ends_the_flow_but_blocks_no_address(core: Pack) -> None:
    """The address behind a name may be a content network's."""
    connection = Connection(dport=443)
    [decision] = run(Pipeline(core, Policy()), connection.client(client_hello(POOL_NAME)))
    assert decision.fate is Fate.DROP
    assert decision.resets
    assert decision.block is None
    assert decision.alerts[0].tls is not None
    assert decision.alerts[0].tls.sni == POOL_NAME


def test_ssh_where_it_may_not_go_is_rejected(core: Pack) -> None:
    """The identification string does not arrive on a port that policy does not name."""
    connection = Connection(dport=443)
    [decision] = run(Pipeline(core, Policy()), connection.client(SSH_CLIENT))
    assert decision.fate is Fate.DROP
    assert decision.block is not None


def test_a_finding_that_is_not_conclusive_alerts_and_passes(core: Pack) -> None:
    """Below the policy's confidence nothing is blocked, and each signature is told once."""
    policy = replace(Policy(), block_confidence=101)
    connection = Connection()
    decisions = run(Pipeline(core, policy), *(connection.client(SUBMIT) for _ in range(5)))
    assert delivered(decisions) == [True] * 5
    assert decisions[0].alerts
    assert [decision.alerts for decision in decisions[1:]] == [()] * 4


def test_used_ports_begin_a_new_flow(core: Pack) -> None:
    """A later connection between the same ports is judged for itself, and told for itself."""
    pipeline = Pipeline(core, Policy())
    [first] = run(pipeline, Connection().client(LOGIN))
    again = Connection(isn=2**31, peer_isn=7)
    assert pipeline.packet(again.client(RPC), 60.0).fate is Fate.ACCEPT
    second = pipeline.packet(again.client(LOGIN), 61.0)
    assert second.fate is Fate.DROP
    assert first.alerts[0].flow_id != second.alerts[0].flow_id


def test_a_packet_out_of_the_blue_does_not_make_us_forget_half_a_message(core: Pack) -> None:
    """Half a login outlives any number of packets that pretend the ports are used again."""
    connection = Connection()
    pipeline = Pipeline(core, Policy())
    run(pipeline, connection.client(LOGIN[:60]))
    for n in range(1, 5):
        run(pipeline, connection.client(b'{"x', 60 + n * 2**27))
    [decision] = run(pipeline, connection.client(LOGIN[60:], 60))
    assert decision.fate is Fate.DROP
    assert decision.block is not None


def test_ports_used_again_after_half_a_message_work_at_once(core: Pack) -> None:
    """An honest new connection is not held back by one that broke off in the middle."""
    pipeline = Pipeline(core, Policy())
    run(pipeline, Connection().client(LOGIN[:60]))
    again = Connection(isn=2**31, peer_isn=7)
    decisions = run(pipeline, again.client(RPC), again.server(RPC), again.client(RPC))
    assert delivered(decisions) == [True] * 3


def test_a_remembered_connection_may_end_well(core: Pack) -> None:
    """The rest of a harmless message clears its connection, and what it held is given back."""
    pipeline = Pipeline(core, Policy())
    connection = Connection(dport=9000)
    text = b'{"a":"' + b"x" * 100 + b'"}\n'
    run(pipeline, connection.client(text[:60]), Connection(dport=9000, isn=2**31).client(RPC))
    run(pipeline, connection.server(b"ok\n"), connection.client(text[60:], 60))
    assert pipeline.tracked == 1
    pipeline.sweep(10_000.0)
    assert (pipeline.tracked, pipeline.held) == (0, 0)


def test_a_segment_that_cannot_be_kept_is_dropped_and_may_come_again(core: Pack) -> None:
    """Beyond the bound nothing passes unread: the sender's retransmission brings it back."""
    connection = Connection(sent={"client": 10, "server": 0})
    pipeline = Pipeline(core, Policy())
    run(pipeline, connection.client(b"x" * 10, 0))
    hole = connection.client(b"." * 100)
    ahead = [connection.client(bytes((n % 256,)) * 1000) for n in range(400)]
    decided = delivered(run(pipeline, *ahead))
    assert False in decided
    assert all(decided[:200])
    assert pipeline.stats.refused == decided.count(False)
    run(pipeline, hole)
    first_refused = decided.index(False)
    assert pipeline.packet(ahead[first_refused], 9.0).fate is not Fate.DROP


def test_flags_do_not_matter(core: Pack) -> None:
    """A request with FIN, without PSH, or with urgent data is a request."""
    for flags in (ACK, PSH | ACK | 0x01, ACK | 0x20, 0):
        [decision] = run(Pipeline(core, Policy()), Connection().client(LOGIN, flags=flags))
        assert decision.fate is Fate.DROP, flags


@pytest.mark.parametrize("flags", [SYN, SYN | ACK, PSH | ACK])
def test_observe_mode_reports_the_same_and_touches_nothing(core: Pack, flags: int) -> None:
    """What enforcing would have done is in the verdict; no packet, flow or endpoint is touched."""
    [decision] = run(
        Pipeline(core, Policy(mode=Mode.OBSERVE)), Connection().client(LOGIN, flags=flags)
    )
    assert decision.fate is Fate.ACCEPT
    assert (decision.resets, decision.block) == ((), None)
    [alert] = [a for a in decision.alerts if a.alert.signature_id == "cryptonote-login"]
    assert alert.verdict.action is Action.ALERT
    assert "reject" in alert.verdict.reason


def test_the_packet_that_completes_a_listed_certificate_is_dropped(
    core: Pack, tmp_path: Path
) -> None:
    """The flow is not handed to the kernel before; with no such condition the hello settles it."""
    leaf = self_signed(tmp_path, ["pool.example"])
    pack = load({
        "pack.yaml": b"name: t\nversion: 2026.1.1\nformat: 1\n",
        "x/listed.yaml": (
            b"{id: listed, rev: 1, title: t, category: pool, dialect: d, role: pool,"
            b" confidence: 90, severity: 2, maturity: stable, detail: d,"
            b" when: {certificate: {sha256: %s}}}" % sha256(der_of(leaf)).hexdigest().encode()
        ),
    })  # fmt: skip
    (_, hello), (_, flight) = handshake(leaf, V12)[:2]
    end = flight.index(der_of(leaf)) + len(der_of(leaf))
    for judged_by, fates in (
        (core, [Fate.CLEAR]),
        (pack, [Fate.ACCEPT, Fate.REARM, Fate.REARM, Fate.DROP]),
    ):
        connection = Connection(dport=443)
        packets = [connection.client(hello)]
        pieces = (flight[:100], flight[100 : end - 1], flight[end - 1 :])
        packets += [connection.server(piece) for piece in pieces]
        decisions = run(Pipeline(judged_by, Policy()), *packets[: len(fates)])
        assert [one.fate for one in decisions] == fates
