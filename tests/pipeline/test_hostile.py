"""Any packets in any order: nothing raises, counters add up, memory stays within bounds."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.packets import OUTSIDE, OUTSIDE6, SANDBOX, SANDBOX6, Connection, datagram
from tests.streams import (
    GET,
    JOB,
    LOGIN,
    POOL_NAME,
    RPC,
    SSH_CLIENT,
    client_hello,
    core_pack,
    dns_query,
    over_tcp,
    post,
)

from davylamp.decision import Decision, Fate
from davylamp.flowtable import FlowLimits
from davylamp.inspection.inspector import InspectionLimits
from davylamp.pipeline import Pipeline, PipelineLimits, Vantage
from davylamp.policy import Mode, Policy
from davylamp.reassembly import StreamLimits

NAMES = (client_hello(POOL_NAME), over_tcp(dns_query(POOL_NAME)))
LINES = (b"", GET, LOGIN, LOGIN[:99], JOB, RPC, SSH_CLIENT, post(LOGIN), b'{"a":"', b"x" * 1000)
SAID = st.sampled_from((*LINES, *NAMES)) | st.binary(max_size=50)


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    """Draw a packet of one of a few connections, or of none; some are damaged."""
    ends = draw(st.sampled_from([(SANDBOX, OUTSIDE), (SANDBOX6, OUTSIDE6), (SANDBOX, SANDBOX)]))
    ports = draw(st.sampled_from([(40_000, 443), (40_001, 53), (22, 22)]))
    connection = Connection(*ends, *ports, isn=draw(st.sampled_from([999, 2**32 - 100])))
    offset = draw(st.integers(0, 400) | st.integers(0, 2**32 - 1))
    said, flags = draw(SAID), draw(st.integers(0, 0x3F))
    packet = draw(st.sampled_from(["client", "server", "datagram", "raw"]))
    match packet:
        case "client":
            made = connection.client(said, offset, flags=flags, ack=draw(st.integers(0, 2**32 - 1)))
        case "server":
            made = connection.server(said, offset, flags=flags)
        case "datagram":
            made = datagram(draw(st.sampled_from([dns_query(POOL_NAME), said])))
        case _:
            made = draw(st.binary(max_size=80))
    if draw(st.integers(0, 9)) == 0:
        made = made[: draw(st.integers(0, len(made)))]
    return made


LIMITS = PipelineLimits(
    flows=FlowLimits(flows=3, held=12_000, idle=50.0),
    stream=StreamLimits(history=300, pending=600, pending_segments=4, rewind=200),
    inspection=InspectionLimits(depth=1000),
    alerts_per_flow=2,
)


@pytest.mark.parametrize("vantage", list(Vantage))
@pytest.mark.parametrize("mode", list(Mode))
def test_any_packets_are_decided_within_bounds(vantage: Vantage, mode: Mode) -> None:
    """Every packet gets a decision that fits its vantage and mode; all is given back at the end."""

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.tuples(packets(), st.booleans(), st.floats(0, 30)), max_size=40))
    def check(turns: list[tuple[bytes, bool, float]]) -> None:
        pipeline = Pipeline(core_pack(), Policy(mode=mode), vantage=vantage, limits=LIMITS)
        now, decisions, seen = 1000.0, list[Decision](), 0
        for packet, triggered, pause in turns:
            now += pause
            decisions.append(pipeline.packet(packet, now, triggered=triggered))
            seen += len(packet)
            assert pipeline.tracked <= 3
            # One flow may hold what one flow may; several only what all may together.
            assert pipeline.tracked < 2 or pipeline.held <= 12_000
        stats = replace(pipeline.stats)
        assert (stats.packets, stats.bytes) == (len(turns), seen)
        assert stats.alerts == sum(len(decision.alerts) for decision in decisions)
        assert stats.cleared == sum(decision.fate is Fate.CLEAR for decision in decisions)
        assert stats.flows >= pipeline.tracked
        fits(decisions, vantage, mode)
        pipeline.finish(now)
        assert (pipeline.tracked, pipeline.held) == (0, 0)

    check()


def fits(decisions: list[Decision], vantage: Vantage, mode: Mode) -> None:
    """Check that no decision asks for what its vantage or mode cannot mean."""
    fates = {decision.fate for decision in decisions}
    if mode is Mode.OBSERVE:
        assert Fate.DROP not in fates
        assert not any(decision.resets or decision.block for decision in decisions)
    if vantage is not Vantage.INLINE:
        assert fates <= {Fate.ACCEPT, Fate.DROP}
    if vantage is Vantage.SAMPLE:
        assert fates <= {Fate.ACCEPT}
    else:
        assert not any(decision.suspect for decision in decisions)
        assert all(decision.fate is Fate.DROP for decision in decisions if decision.block)
