"""DNS through the pipeline: names of pools in questions, answers and aliases, on UDP and TCP."""

import pytest
from tests.packets import OUTSIDE, OUTSIDE6, SANDBOX, SANDBOX6, Connection, datagram
from tests.streams import POOL_NAME, dns_alias, dns_query, over_tcp

from davylamp.decision import Fate
from davylamp.events import Action, AlertEvent
from davylamp.flow import FlowKey, Proto
from davylamp.pipeline import Pipeline, Vantage
from davylamp.pipeline.datagrams import CAPACITY, LIFE, DatagramFlows
from davylamp.policy import Mode, Policy
from davylamp.signatures.pack import Pack


def only(alerts: tuple[AlertEvent, ...]) -> AlertEvent:
    """Return the one alert that there must be."""
    [alert] = alerts
    assert alert.alert.signature_id == "pool-name-dns-query"
    return alert


@pytest.mark.parametrize("ends", [(SANDBOX, OUTSIDE), (SANDBOX6, OUTSIDE6)], ids=["IPv4", "IPv6"])
def test_a_question_for_a_pool_is_told_and_passes(core: Pack, ends: tuple[str, str]) -> None:
    """By default a name alone is an alert: the connection is what gets blocked."""
    pipeline = Pipeline(core, Policy())
    decision = pipeline.packet(datagram(dns_query(POOL_NAME), src=ends[0], dst=ends[1]), 1.0)
    assert decision.fate is Fate.ACCEPT
    alert = only(decision.alerts)
    assert (alert.src_ip, alert.dest_ip, alert.dest_port) == (*ends, 53)
    assert (alert.proto, alert.app_proto) == ("UDP", "dns")


def test_an_answer_with_an_alias_to_a_pool_is_told_as_the_askers(core: Pack) -> None:
    """A harmless name whose alias is a pool's is a pool; the sandbox is still the originator."""
    packet = datagram(
        dns_alias("cdn.example.com", POOL_NAME), sport=53, dport=33_000, src=OUTSIDE, dst=SANDBOX
    )
    alert = only(Pipeline(core, Policy()).packet(packet, 1.0).alerts)
    assert (alert.src_ip, alert.src_port, alert.dest_port) == (SANDBOX, 33_000, 53)
    assert alert.evidence[0].direction == "responder"


def test_a_flow_of_datagrams_is_told_once(core: Pack) -> None:
    """Both address families, asked for and answered on one port, are one flow and one alert."""
    pipeline = Pipeline(core, Policy(dns=Action.REJECT))
    answer = datagram(
        dns_alias("cdn.example.com", POOL_NAME), sport=53, dport=33_000, src=OUTSIDE, dst=SANDBOX
    )
    question = datagram(dns_query(POOL_NAME), sport=33_000, src=SANDBOX, dst=OUTSIDE)
    told = [pipeline.packet(each, 1.0 + n / 100) for n, each in enumerate((question, answer) * 2)]
    only(sum((decision.alerts for decision in told), ()))
    assert {decision.fate for decision in told} == {Fate.DROP}, "told or not, each is judged"
    assert pipeline.stats.flows == 1


def test_a_port_that_asks_for_ever_is_told_of_again(core: Pack) -> None:
    """A forwarder's one port is another flow after a while; another port is one at once."""
    pipeline = Pipeline(core, Policy())
    question = datagram(dns_query(POOL_NAME), sport=33_000)
    alerts = [only(pipeline.packet(question, now).alerts) for now in (1.0, 1.0 + LIFE)]
    alerts.append(only(pipeline.packet(datagram(dns_query(POOL_NAME), sport=33_001), 1.0).alerts))
    assert len({alert.flow_id for alert in alerts}) == 3
    assert pipeline.packet(question, 2.0 + LIFE).alerts == ()


def test_flows_of_datagrams_are_bounded() -> None:
    """Of any number of ports that ask, the latest are remembered."""
    flows = DatagramFlows()
    keys = [FlowKey(Proto.UDP, bytes(4), port, bytes(4), 53) for port in range(CAPACITY + 10)]
    for now, key in enumerate(keys):
        flows.open(key, now / 1000)
    assert len(flows) == CAPACITY
    assert flows.find(keys[9], 2.0) is None
    assert flows.find(keys[10], 2.0) is not None


def test_other_names_and_other_ports_are_silent(core: Pack) -> None:
    """Only DNS is read as DNS, and only listed names are told."""
    pipeline = Pipeline(core, Policy())
    for packet in (
        datagram(dns_query("pypi.org")),
        datagram(dns_query(POOL_NAME), dport=5353),
        datagram(b"\xff" * 40),
        datagram(b""),
    ):
        decision = pipeline.packet(packet, 1.0)
        assert (decision.fate, decision.alerts) == (Fate.ACCEPT, ())
    assert pipeline.tracked == 0


@pytest.mark.parametrize(
    ("mode", "vantage", "fate"),
    [
        (Mode.ENFORCE, Vantage.INLINE, Fate.DROP),
        (Mode.OBSERVE, Vantage.INLINE, Fate.ACCEPT),
        (Mode.ENFORCE, Vantage.SAMPLE, Fate.ACCEPT),
    ],
)
def test_a_site_may_refuse_the_question(
    core: Pack, mode: Mode, vantage: Vantage, fate: Fate
) -> None:
    """Where policy rejects pool names in DNS, the datagram is dropped, and that is all."""
    pipeline = Pipeline(core, Policy(mode=mode, dns=Action.REJECT), vantage=vantage)
    decision = pipeline.packet(datagram(dns_query(POOL_NAME)), 1.0)
    assert decision.fate is fate
    assert decision.alerts
    assert (decision.resets, decision.block) == ((), None)


def test_dns_over_tcp_is_read_too(core: Pack) -> None:
    """A question split over segments, behind a harmless one, is told once and passes."""
    pipeline = Pipeline(core, Policy())
    connection = Connection(dport=53)
    asked = over_tcp(dns_query("pypi.org"), dns_query(POOL_NAME), dns_query(POOL_NAME))
    decisions = [
        pipeline.packet(connection.client(asked[at : at + 20]), 1.0)
        for at in range(0, len(asked), 20)
    ]
    assert Fate.DROP not in {decision.fate for decision in decisions}
    alert = only(sum((decision.alerts for decision in decisions), ()))
    assert (alert.proto, alert.app_proto) == ("TCP", "dns")


def test_dns_over_tcp_is_ended_where_policy_says_so(core: Pack) -> None:
    """There the flow is reset, but the resolver's address is not blocked."""
    pipeline = Pipeline(core, Policy(dns=Action.REJECT))
    decision = pipeline.packet(Connection(dport=53).client(over_tcp(dns_query(POOL_NAME))), 1.0)
    assert decision.fate is Fate.DROP
    assert decision.resets
    assert decision.block is None
