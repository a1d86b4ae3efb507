"""Observe mode: nothing is dropped, whatever comes."""

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.packets import Connection, datagram
from tests.streams import JOB, LOGIN, POOL_NAME, RPC, client_hello, core_pack, dns_query

from davylamp.decision import Fate
from davylamp.pipeline import Pipeline, PipelineLimits
from davylamp.policy import Mode, Policy
from davylamp.reassembly import StreamLimits
from davylamp.signatures.pack import Pack

OBSERVE = Policy(mode=Mode.OBSERVE)


def test_a_conflict_is_told_and_delivered(core: Pack) -> None:
    """Two versions of the same bytes are an alert, not a drop."""
    pipeline = Pipeline(core, OBSERVE)
    connection = Connection()
    pipeline.packet(connection.client(b"hello"), 1.0)
    decision = pipeline.packet(connection.client(b"HELLO", 0), 1.0)
    assert decision.fate is Fate.ACCEPT
    assert [alert.alert.signature_id for alert in decision.alerts] == ["tcp-overlap-conflict"]


def test_a_hole_at_the_bound_is_given_up_and_what_follows_is_read(core: Pack) -> None:
    """What enforcing would refuse is delivered, so the bytes before it are a hole."""
    limits = PipelineLimits(stream=StreamLimits(pending=3000))
    pipeline = Pipeline(core, OBSERVE, limits=limits)
    connection = Connection()
    pipeline.packet(connection.client(RPC), 1.0)
    connection.client(b"never seen\n")
    told: set[str] = set()
    for said in (RPC * 10, RPC * 10, b"\n" + LOGIN + RPC * 20):
        decision = pipeline.packet(connection.client(said), 1.0)
        assert decision.fate is not Fate.DROP
        told |= {alert.alert.signature_id for alert in decision.alerts}
    assert "cryptonote-login" in told


SAID = st.sampled_from([LOGIN, JOB, RPC, client_hello(POOL_NAME), b"\0", b"x" * 1400, LOGIN[:50]])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.booleans(), SAID | st.binary(max_size=40), st.integers(0, 3000), st.booleans()
        ),
        max_size=40,
    )
)
def test_no_packet_is_ever_dropped(
    segments: list[tuple[bool, bytes, int, bool]],
) -> None:
    """Overlaps, conflicts, holes beyond every bound and mining alike are delivered."""
    limits = PipelineLimits(stream=StreamLimits(history=500, pending=1000, pending_segments=4))
    pipeline = Pipeline(core_pack(), OBSERVE, limits=limits)
    connection = Connection()
    for out, data, offset, triggered in segments:
        packet = connection.client(data, offset) if out else connection.server(data, offset)
        decision = pipeline.packet(packet, 1.0, triggered=triggered)
        assert decision.fate is not Fate.DROP
        assert (decision.resets, decision.block) == ((), None)
    assert pipeline.packet(datagram(dns_query(POOL_NAME)), 1.0).fate is Fate.ACCEPT
    assert pipeline.stats.blocked == 0
