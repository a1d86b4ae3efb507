"""Clean connections: one packet in user space, and nothing kept."""

import pytest
from tests.packets import OUTSIDE, OUTSIDE6, SANDBOX, SANDBOX6, Connection
from tests.streams import (
    GET,
    RESPONSE,
    RPC,
    SSH_CLIENT,
    SSH_SERVER,
    client_hello,
    core_pack,
    post,
)

from davylamp.decision import CLEAR, Fate
from davylamp.pipeline import Pipeline, Vantage
from davylamp.policy import Mode, Policy
from davylamp.signatures.pack import Pack

HELLO = client_hello("pypi.org")


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("ends", [(SANDBOX, OUTSIDE), (SANDBOX6, OUTSIDE6)], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize(
    "said", [GET, HELLO, post(RPC), b"HEAD / HTTP/1.0\r\n\r\n"], ids=["GET", "TLS", "POST", "HEAD"]
)
def test_a_clean_first_packet_clears_its_flow_and_leaves_nothing(
    core: Pack, said: bytes, ends: tuple[str, str], mode: Mode
) -> None:
    """A whole request or hello settles the flow: the kernel has the rest, we keep nothing."""
    pipeline = Pipeline(core, Policy(mode=mode))
    assert pipeline.packet(Connection(*ends, dport=80).client(said), 1.0) is CLEAR
    assert (pipeline.tracked, pipeline.held) == (0, 0)
    assert (pipeline.stats.flows, pipeline.stats.cleared, pipeline.stats.alerts) == (1, 1, 0)


@pytest.mark.parametrize("said", [GET, HELLO, post(RPC)], ids=["GET", "TLS", "POST"])
def test_a_clean_flow_is_cleared_with_the_packet_that_settles_it(core: Pack, said: bytes) -> None:
    """Split anywhere, the first part keeps the flow here, and the rest clears it."""
    for cut in range(1, len(said)):
        pipeline = Pipeline(core, Policy())
        connection = Connection(dport=443)
        assert pipeline.packet(connection.client(said[:cut]), 1.0).fate is Fate.REARM
        assert pipeline.packet(connection.client(said[cut:]), 1.0).fate is Fate.CLEAR, cut
        assert (pipeline.tracked, pipeline.held) == (0, 0)


def test_ssh_where_it_may_go_is_cleared_at_the_clients_string(core: Pack) -> None:
    """The server may speak first; nothing is readable behind the client's identification."""
    pipeline = Pipeline(core, Policy())
    connection = Connection(dport=22)
    assert pipeline.packet(connection.server(SSH_SERVER), 1.0).fate is Fate.ACCEPT
    decision = pipeline.packet(connection.client(SSH_CLIENT), 1.0)
    assert decision.fate is Fate.CLEAR
    assert decision.alerts == ()


def test_an_unknown_protocol_is_cleared_at_the_depth(core: Pack) -> None:
    """Opaque bytes are looked at to the depth, once, and then they are the kernel's."""
    pipeline = Pipeline(core, Policy())
    connection = Connection(dport=5432)
    fates = [pipeline.packet(connection.client(b"\x80" * 1448), 1.0).fate for _ in range(12)]
    assert fates == [Fate.ACCEPT] * 11 + [Fate.CLEAR]
    assert pipeline.tracked == 0


def test_no_flow_is_cleared_over_a_hole(core: Pack) -> None:
    """What arrived ahead of its turn is judged before the flow is let go."""
    pipeline = Pipeline(core, Policy())
    connection = Connection(dport=9000)
    pipeline.packet(connection.client(RPC), 1.0)
    late = connection.client(b"late ")
    assert pipeline.packet(connection.client(RPC), 1.0).fate is Fate.REARM
    assert pipeline.packet(connection.server(b"\x80" * 17_000), 1.0).fate is Fate.REARM
    assert pipeline.packet(late, 1.0).fate is Fate.CLEAR


def test_packets_without_payload_are_nobodys_business(core: Pack) -> None:
    """Inline, a bare acknowledgement or reset neither opens a flow nor closes one."""
    pipeline = Pipeline(core, Policy())
    connection = Connection()
    assert pipeline.packet(connection.client(b""), 1.0).fate is Fate.ACCEPT
    assert pipeline.tracked == 0
    pipeline.packet(connection.client(b'{"id":'), 1.0)
    assert pipeline.packet(connection.client(b"", flags=0x14), 1.0).fate is Fate.ACCEPT
    assert pipeline.tracked == 1


@pytest.mark.parametrize("vantage", [Vantage.SAMPLE, Vantage.TRACE])
def test_only_a_packet_that_waits_for_its_fate_is_cleared(core: Pack, vantage: Vantage) -> None:
    """Copies of packets are accepted, whatever they settle."""
    pipeline = Pipeline(core, Policy(), vantage=vantage)
    connection = Connection(dport=80)
    for packet in (connection.client(GET), connection.server(RESPONSE)):
        assert pipeline.packet(packet, 1.0).fate is Fate.ACCEPT


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        bytes(60),
        b"\x45" + bytes(59),
        b"\x60" + bytes(59),
        Connection().client(GET)[:30],
        bytes.fromhex("45000028000020000006") + bytes(30),  # a fragment
    ],
)
def test_what_is_no_packet_of_ours_passes_only_where_nothing_is_stopped(packet: bytes) -> None:
    """The kernel saw TCP or DNS in it, and so may its receiver."""
    for mode, fate in ((Mode.OBSERVE, Fate.ACCEPT), (Mode.ENFORCE, Fate.DROP)):
        pipeline = Pipeline(core_pack(), Policy(mode=mode))
        assert pipeline.packet(packet, 1.0).fate is fate
        assert pipeline.tracked == 0
