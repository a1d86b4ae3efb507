"""Capture files: connections from beginning to end, with packets lost, cut and repeated."""

import pytest
from tests.packets import ACK, FIN, RST, Connection
from tests.streams import GET, LOGIN, RESPONSE, RPC, SUBMIT

from davylamp.decision import Fate
from davylamp.events import AlertEvent
from davylamp.pipeline import Pipeline, PipelineLimits, Vantage
from davylamp.policy import Mode, Policy
from davylamp.reassembly import StreamLimits
from davylamp.signatures.pack import Pack

OBSERVE = Policy(mode=Mode.OBSERVE)


def trace(core: Pack, **limits: int) -> Pipeline:
    """Return a pipeline that reads a capture file."""
    return Pipeline(
        core,
        OBSERVE,
        vantage=Vantage.TRACE,
        limits=PipelineLimits(stream=StreamLimits(**limits)),
    )


def told(alerts: tuple[AlertEvent, ...]) -> set[str]:
    """Return the ids of the signatures that alerts are about."""
    return {alert.alert.signature_id for alert in alerts}


def play(pipeline: Pipeline, *packets: bytes) -> set[str]:
    """Play packets; return what was told on the way."""
    return set().union(*(told(pipeline.packet(packet, 1.0).alerts) for packet in packets))


def test_a_connection_is_one_flow_from_syn_to_fin(core: Pack) -> None:
    """The handshake opens it, retransmitted SYNs change nothing, the second FIN closes it."""
    pipeline = trace(core)
    connection = Connection(dport=80)
    opening = [connection.syn(), connection.syn(), connection.syn_ack(), connection.syn_ack()]
    play(pipeline, *opening, connection.client(GET), connection.server(RESPONSE), opening[0])
    assert (pipeline.tracked, pipeline.stats.flows) == (1, 1)
    play(pipeline, connection.client(b"", flags=FIN | ACK), connection.client(b"", flags=FIN | ACK))
    assert pipeline.tracked == 1
    play(pipeline, connection.server(b"", flags=FIN | ACK))
    assert (pipeline.tracked, pipeline.held) == (0, 0)


def test_a_reset_closes_a_flow(core: Pack) -> None:
    """Nothing follows a reset."""
    pipeline = trace(core)
    connection = Connection()
    play(pipeline, connection.syn(), connection.client(RPC), connection.server(b"", flags=RST))
    assert pipeline.tracked == 0


def test_a_fin_before_missing_bytes_does_not_close(core: Pack) -> None:
    """Reordered ends of a connection are waited for."""
    pipeline = trace(core)
    connection = Connection()
    late = connection.client(LOGIN[:60])
    rest = connection.client(LOGIN[60:], flags=FIN | ACK)
    play(pipeline, connection.syn(), rest, connection.server(b"", flags=FIN | ACK))
    assert pipeline.tracked == 1
    assert "cryptonote-login" in play(pipeline, late)


def test_a_syn_begins_the_ports_anew(core: Pack) -> None:
    """A new connection between the same ports is a new flow, with alerts of its own."""
    pipeline = trace(core)
    first, second = Connection(), Connection(isn=2000)
    assert play(pipeline, first.syn(), first.client(LOGIN))
    assert play(pipeline, second.syn(), second.syn_ack(), second.client(LOGIN))
    assert pipeline.stats.flows == 2


def test_a_connection_without_its_beginning_is_joined(core: Pack) -> None:
    """The end that looks like a client is the originator, or a sandbox where those are known."""
    pipeline = trace(core)
    connection = Connection()
    [alert] = [
        alert
        for alert in pipeline.packet(connection.client(LOGIN[30:] + SUBMIT), 1.0).alerts
        if alert.alert.signature_id == "cryptonote-submit"
    ]
    assert (alert.src_port, alert.dest_port) == (40_000, 3333)


def test_a_lost_packet_is_given_up_at_the_end(core: Pack) -> None:
    """What waited behind a hole is read when the file ends."""
    pipeline = trace(core)
    connection = Connection()
    packets = [connection.syn(), connection.client(b"lost"), connection.client(RPC + LOGIN)]
    assert play(pipeline, packets[0], packets[2]) == set()
    assert "cryptonote-login" in told(pipeline.finish(2.0))
    assert pipeline.tracked == 0


def test_a_lost_packet_is_given_up_at_the_bound(core: Pack) -> None:
    """A long trace with a hole at its beginning is read long before its end."""
    pipeline = trace(core, pending=2000)
    connection = Connection()
    play(pipeline, connection.syn())
    connection.client(b"lost")
    seen = play(pipeline, *(connection.client(RPC) for _ in range(30)), connection.client(LOGIN))
    assert "cryptonote-login" in seen


def test_what_was_not_captured_of_a_packet_is_a_hole(core: Pack) -> None:
    """A short snapshot length hides bytes, not the packets behind them."""
    pipeline = trace(core)
    connection = Connection()
    play(pipeline, connection.client(RPC + b"x" * 500)[:120])
    assert "cryptonote-login" in play(pipeline, connection.client(LOGIN))


def test_evidence_behind_a_hole_keeps_its_offset(core: Pack) -> None:
    """Offsets count the bytes that were sent, seen or not."""
    pipeline = trace(core)
    connection = Connection()
    play(pipeline, connection.client(RPC + b"x" * 500)[:120])
    [alert] = pipeline.packet(connection.client(LOGIN), 1.0).alerts[:1]
    assert alert.evidence[0].offset == len(RPC) + 500


@pytest.mark.parametrize("mode", list(Mode))
def test_enforcing_shows_what_would_pass(core: Pack, mode: Mode) -> None:
    """With an enforcing policy a trace shows where a flow would have ended; else all of it."""
    pipeline = Pipeline(core, Policy(mode=mode), vantage=Vantage.TRACE)
    connection = Connection()
    fates = [pipeline.packet(connection.client(said), 1.0).fate for said in (RPC, LOGIN, SUBMIT)]
    wanted = Fate.DROP if mode is Mode.ENFORCE else Fate.ACCEPT
    assert fates == [Fate.ACCEPT, wanted, wanted]
