"""Flows put out with half a message: the rest is refused, and an honest program told at once."""

import pytest
from tests.packets import ACK, OUTSIDE6, RST, SANDBOX6, Connection
from tests.streams import GET, LOGIN

from davylamp.decision import Fate
from davylamp.flowtable import FlowLimits
from davylamp.pipeline import Pipeline, PipelineLimits, Vantage
from davylamp.policy import Mode, Policy
from davylamp.signatures.pack import Pack

HALF, REST = LOGIN[:50], LOGIN[50:]


def gateway(core: Pack, mode: Mode = Mode.ENFORCE, **limits: int) -> Pipeline:
    """Return a pipeline inline that forgets soon."""
    flows = FlowLimits(idle=60.0, **limits)
    return Pipeline(
        core, Policy(mode=mode), vantage=Vantage.INLINE, limits=PipelineLimits(flows=flows)
    )


def flooded(pipeline: Pipeline, connection: Connection) -> None:
    """Say half a message, then so many others that it must be put out."""
    pipeline.packet(connection.client(HALF), 1.0)
    for number in range(20):
        pipeline.packet(Connection(sport=50_000 + number).client(HALF), 1.0)


def idled(pipeline: Pipeline, connection: Connection) -> None:
    """Say half a message, then nothing for long."""
    pipeline.packet(connection.client(HALF), 1.0)
    pipeline.sweep(100.0)


@pytest.fixture(params=[flooded, idled])
def lost(request: pytest.FixtureRequest, core: Pack) -> tuple[Pipeline, Connection]:
    """Return a gateway and a connection that was put out of its memory with half a message."""
    pipeline, connection = gateway(core, flows=5), Connection()
    request.param(pipeline, connection)
    return pipeline, connection


def test_the_rest_of_a_message_is_refused(lost: tuple[Pipeline, Connection]) -> None:
    """Neither flooding nor idling lets a login through, nor its answer; both ends are reset."""
    pipeline, connection = lost
    decision = pipeline.packet(connection.client(REST), 101.0)
    assert decision.fate is Fate.DROP
    assert {(reset.key.orig_port, reset.seq) for reset in decision.resets} == {
        (40_000, 1050),  # what the server expects next, not what has come
        (3333, 5000),
    }
    answer = pipeline.packet(connection.server(b'{"id":1,"result":true}\n'), 102.0)
    assert answer.fate is Fate.DROP
    assert answer.resets
    assert pipeline.stats.refused == 2


def test_a_new_connection_on_its_ports_is_let_be(lost: tuple[Pipeline, Connection]) -> None:
    """Whether the kernel says that it is new, or its numbers do."""
    pipeline, _ = lost
    far = Connection(isn=1 << 30, peer_isn=1 << 29)
    assert pipeline.packet(far.client(GET), 101.0).fate is Fate.CLEAR
    near = Connection()
    assert pipeline.packet(near.client(GET), 102.0, opening=True).fate is Fate.CLEAR
    assert pipeline.packet(near.server(b"HTTP/1.1 200 OK\r\n"), 102.0).fate is not Fate.DROP


def test_a_lie_does_not_make_it_forget(lost: tuple[Pipeline, Connection]) -> None:
    """A SYN, or a segment from afar, that its receiver throws away changes nothing."""
    pipeline, connection = lost
    pipeline.packet(Connection().syn(GET), 101.0)
    pipeline.packet(Connection(isn=1 << 30).client(b"x"), 101.0)
    pipeline.packet(Connection(isn=1 << 30).syn(GET), 101.0)
    assert pipeline.packet(connection.client(REST), 102.0).fate is Fate.DROP


def test_a_reset_is_not_answered(lost: tuple[Pipeline, Connection]) -> None:
    """Nobody is there any more who would hear it."""
    pipeline, connection = lost
    decision = pipeline.packet(connection.client(REST, flags=RST | ACK), 101.0)
    assert (decision.fate, decision.resets) == (Fate.DROP, ())


def test_where_nothing_is_refused_nothing_is_remembered(core: Pack) -> None:
    """A gateway that observes lets it pass, as it does all else."""
    pipeline, connection = gateway(core, Mode.OBSERVE, flows=5), Connection()
    flooded(pipeline, connection)
    assert pipeline.packet(connection.client(REST), 101.0).fate is not Fate.DROP


def test_a_neighbours_flood_does_not_cost_a_connection(core: Pack) -> None:
    """One sandbox's halves push out its own, not those of another."""
    pipeline, mine = gateway(core, flows=5), Connection(SANDBOX6, OUTSIDE6)
    pipeline.packet(mine.client(b'{"a":'), 1.0)
    flooded(pipeline, Connection())
    assert pipeline.packet(mine.client(b"1}\n"), 2.0).fate is not Fate.DROP
