"""Floods: what a sandbox or a pool can make us keep is bounded, and gets smaller by itself."""

import tracemalloc

from tests.packets import Connection
from tests.streams import LOGIN, RPC, SUBMIT

from davylamp.decision import Fate
from davylamp.flowtable import FLOW_OVERHEAD, FlowLimits
from davylamp.pipeline import Pipeline, PipelineLimits, Vantage
from davylamp.policy import Mode, Policy
from davylamp.reassembly import StreamLimits
from davylamp.signatures.pack import Pack


def bounded(core: Pack, vantage: Vantage = Vantage.INLINE, **limits: int) -> Pipeline:
    """Return a pipeline with small bounds on its flows."""
    return Pipeline(
        core,
        Policy(),
        vantage=vantage,
        limits=PipelineLimits(flows=FlowLimits(idle=60.0, **limits)),
    )


def test_a_flood_of_half_open_connections_is_bounded(core: Pack) -> None:
    """A capture of a SYN flood keeps as many flows as it may, the latest ones."""
    pipeline = bounded(core, Vantage.TRACE, flows=100)
    for number in range(5000):
        pipeline.packet(Connection(sport=number).syn(), 1.0)
    assert pipeline.tracked == 100
    assert pipeline.evicted == 4900


def test_a_flood_of_one_packet_flows_is_bounded(core: Pack) -> None:
    """Half a message in each of many connections holds no more than the limits in number."""
    pipeline = bounded(core, flows=100)
    for number in range(5000):
        pipeline.packet(Connection(sport=number).client(LOGIN[:50]), 1.0)
        assert pipeline.tracked <= 100
    assert pipeline.held <= 100 * (FLOW_OVERHEAD + 100)


def test_a_first_packet_is_counted_at_once(core: Pack) -> None:
    """A flood of connections with one large packet each is bounded in bytes, too."""
    pipeline = bounded(core, held=1_000_000)
    for number in range(200):
        pipeline.packet(Connection(sport=number).client(b"\x80" * 10_000), 1.0)
        assert pipeline.held <= 1_000_000
    assert pipeline.held > 900_000
    assert pipeline.evicted > 100


def test_a_flood_of_long_halves_is_bounded_in_bytes(core: Pack) -> None:
    """Connections that each hold what one may hold are put out when all hold too much."""
    pipeline = bounded(core, held=1_000_000)
    for number in range(60):
        connection = Connection(sport=number)
        for _ in range(60):
            pipeline.packet(connection.client(b'{"a":"' + b"x" * 1400), 1.0)
            assert pipeline.held <= 1_000_000
    assert pipeline.evicted > 0


def test_what_is_counted_as_held_is_what_memory_it_takes(core: Pack) -> None:
    """The bound is on bytes of this machine: one-byte segments are not cheaper than they are."""
    limits = PipelineLimits(stream=StreamLimits(pending=200_000))
    pipeline = Pipeline(core, Policy(), limits=limits)
    pipeline.packet(Connection().client(b"{"), 1.0)
    tracemalloc.start()
    try:
        for number in range(60):
            connection = Connection(sport=number)
            pipeline.packet(connection.client(b"{"), 1.0)
            connection.client(b"hole")
            for _ in range(250):
                packet = connection.client(b"ab")
                connection.client(b"c")
                pipeline.packet(packet, 1.0)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert pipeline.tracked == 61
    assert taken < 1.5 * pipeline.held


def test_idle_flows_are_forgotten(core: Pack) -> None:
    """A flow that nobody continues goes after the idle time, and its bytes with it."""
    pipeline = bounded(core)
    for number in range(50):
        pipeline.packet(Connection(sport=number).client(LOGIN[:50]), number)
    pipeline.sweep(80.0)
    assert pipeline.tracked == 29
    pipeline.sweep(200.0)
    assert (pipeline.tracked, pipeline.held) == (0, 0)


def test_packets_sweep_by_themselves(core: Pack) -> None:
    """A host that never asks for a sweep is swept all the same."""
    pipeline = bounded(core)
    pipeline.packet(Connection().client(LOGIN[:50]), 1.0)
    for _ in range(4096):
        pipeline.packet(b"", 100.0)
    assert pipeline.tracked == 0


def test_alerts_on_one_flow_are_bounded(core: Pack) -> None:
    """A flow that shows more signatures than the bound is not written about any more."""
    limits = PipelineLimits(alerts_per_flow=1)
    pipeline = Pipeline(core, Policy(mode=Mode.OBSERVE), limits=limits)
    connection = Connection()
    decisions = [pipeline.packet(connection.client(said), 1.0) for said in (LOGIN, SUBMIT, LOGIN)]
    assert sum(len(decision.alerts) for decision in decisions) == 1
    assert pipeline.stats.alerts == 1


def test_a_flow_that_was_put_out_is_picked_up_midstream(core: Pack) -> None:
    """Whole messages are still caught when their flow was forgotten before them."""
    pipeline = bounded(core, flows=1)
    connection = Connection()
    pipeline.packet(connection.client(RPC + b'{"half'), 1.0)
    pipeline.packet(Connection(sport=5).client(RPC), 1.0)
    connection.client(b"unseen")
    assert pipeline.packet(connection.client(b"\n" + LOGIN), 1.0).fate is Fate.DROP
