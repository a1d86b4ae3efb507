"""The crossing counts what the inspection tells, and what it does not."""

from dataclasses import replace

from tests.streams import LOGIN, core_pack

from davylamp.accuracy.crossing import WAYS, Cell, Delay, cross
from davylamp.accuracy.delivery import Delivery
from davylamp.accuracy.examples import Example, Message, examples
from davylamp.accuracy.forms import Form
from davylamp.accuracy.judge import Judge
from davylamp.accuracy.layers import LAYERS
from davylamp.accuracy.quotations import quotations
from davylamp.flow import Direction
from davylamp.signatures.model import SignatureId
from davylamp.signatures.vectors import parse_vectors

VECTORS = b"""
- name: yes
  source: made up
  stream: [{client: '{"id":1,"method":"mining.subscribe","params":[]}'}]
  expect: match
- name: no
  source: made up
  stream: [{client: '{"id":1,"method":"subscribe","params":[]}'}]
  expect: none
- name: another's
  source: made up
  stream: [{client: '{"id":1,"method":"mining.subscribe","params":{}}'}]
  expect: none
  also: [stratum-v1-ping]
- name: packets
  source: made up
  stream: [{event: tcp.overlap-conflict}]
  expect: match
"""


def on_tcp(example: Example, way: str) -> Cell:
    """Return where an example is counted that nothing wraps."""
    return Cell(example.dialect, "TCP", way, example.by_shape)


def test_mining_is_told_in_every_form_on_tcp(judge: Judge, login: Example) -> None:
    """One trial a way is counted, and each of the message's own meaning is told and blocked."""
    tally = cross(judge, [login])
    for way in WAYS:
        cell = on_tcp(login, way.name)
        assert tally.tried[cell] == 1
        if way.form is not Form.RENAMED:
            assert (tally.told[cell], tally.blocked[cell]) == (1, 1)


def test_what_is_not_told_is_counted_and_named(judge: Judge, login: Example) -> None:
    """An example that expects another signature is a miss, wherever it is sent."""
    wrong = replace(login, name="wrong", signature=SignatureId("stratum-v1-ping"))
    tally = cross(judge, [wrong])
    assert not any(tally.told[cell] for cell in tally.tried if cell.way != Form.RENAMED)
    assert {name for name, _ in tally.missed} == {"wrong"}
    assert sum(tally.tried.values()) > len(LAYERS)


def test_an_alarm_on_a_near_miss_is_counted_and_named(judge: Judge, login: Example) -> None:
    """Mining that claims to be none raises an alarm in each way, with what raised it."""
    tally = cross(judge, [replace(login, name="liar", signature=None)])
    assert not tally.tried
    bare = [alarm for alarm in tally.alarms if alarm.layer == "TCP"]
    assert {alarm.example for alarm in bare} == {"liar"}
    assert {alarm.way for alarm in bare} == {way.name for way in WAYS} - {Form.RENAMED}
    assert tally.benign >= len(LAYERS)


def test_a_verdict_comes_with_the_last_byte(judge: Judge, login: Example) -> None:
    """The delay is counted from the byte that completes the message, over TCP none."""
    size = len(LOGIN.rstrip())
    assert cross(judge, [login]).delays["TCP"] == [Delay(at=size, behind=0)]


def test_a_name_is_met_where_it_stands_on_the_wire(judge: Judge) -> None:
    """Names of vectors become a ClientHello and a DNS query over TCP, and are told."""
    data = b"""
- name: sni
  source: made up
  stream: [{name: {tls.sni: gulf.moneroocean.stream}}]
  expect: match
"""
    for file, identity in (("tls.sni", "pool-name-tls-sni"), ("dns.query", "pool-name-dns-query")):
        vectors = parse_vectors(data.replace(b"tls.sni", file.encode()), "x.yaml")
        named = [(SignatureId(identity), vector) for vector in vectors]
        tally = cross(judge, examples(core_pack(), named))
        told = [cell for cell, count in tally.told.items() if count and cell.layer == "TCP"]
        assert {cell.way for cell in told} == set(Delivery)


def test_examples_are_what_can_be_sent() -> None:
    """Matches and near misses are taken; another signature's match and mere packets are not."""
    vectors = [
        (SignatureId("stratum-v1-subscribe"), vector)
        for vector in parse_vectors(VECTORS, "stratum-v1-subscribe.yaml")
    ]
    found = list(examples(core_pack(), vectors))
    assert [(one.name.partition(": ")[2], one.signature) for one in found] == [
        ("yes", "stratum-v1-subscribe"),
        ("no", None),
    ]


def test_what_is_off_is_left_out() -> None:
    """A signature of the sandbox tells nothing, and nothing is expected of it."""
    off = next(one.id for one in core_pack().signatures.values() if one.maturity == "sandbox")
    vectors = [(off, vector) for vector in parse_vectors(VECTORS, "x.yaml")]
    assert list(examples(core_pack(), vectors)) == []


def test_quotations_are_no_mining(judge: Judge, login: Example, subscribe: Example) -> None:
    """Words about mining raise no alarm on bare TCP or in an HTTP body, and are many."""
    quoted = list(quotations([login, subscribe, login]))
    assert len(quoted) == 6
    tally = cross(judge, quoted)
    wrong = [one for one in tally.alarms if one.layer in ("TCP", "HTTP body", "HTTP CONNECT")]
    assert wrong == []


def test_opaque_mining_passes_tunnels_only(judge: Judge) -> None:
    """What is no JSON is not asked for in bodies and armour, nor in forms of JSON."""
    opaque = Example(
        "ssh",
        (Message(Direction.ORIGINATOR, b"SSH-2.0-OpenSSH_9.2\r\n"),),
        SignatureId("ssh-banner-unexpected"),
        "ssh",
    )
    tried = cross(judge, [opaque]).tried
    assert {cell.layer for cell in tried} == {one.name for one in LAYERS if one.transparent}
    assert {cell.way for cell in tried} == set(Delivery)
