"""Values behind their length are none of our business once both ends keep to a protocol."""

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.packets import Connection
from tests.streams import AUTHORIZE, JOB, LOGIN, NOTIFY, SUBMIT, SUBSCRIBE, core_pack

from davylamp.decision import Fate
from davylamp.flow import Direction
from davylamp.inspection.declared.exchange import MAX_ALIKE, PATIENCE
from davylamp.inspection.finding import AppProto, Finding
from davylamp.inspection.inspector import Inspector
from davylamp.pipeline import Pipeline
from davylamp.policy import Mode, Policy
from davylamp.signatures.pack import Pack

C, S = Direction.ORIGINATOR, Direction.RESPONDER
MINING = {"stratum-v1-subscribe", "stratum-v1-authorize"}
MAX_CUTS = 150

type Turns = list[tuple[Direction, bytes]]


def resp(*values: bytes) -> bytes:
    """Write a command, or an answer of several values, as Redis does."""
    told = b"".join(b"$%d\r\n%b\r\n" % (len(value), value) for value in values)
    return b"*%d\r\n%b" % (len(values), told)


def publication(payload: bytes) -> bytes:
    """Write a PUBLISH of MQTT with a payload of 126 to 16,000 bytes."""
    size = len(payload) + 3
    assert size < 1 << 14
    length = bytes((size & 0x7F | 0x80, size >> 7)) if size > 0x7F else bytes((size,))
    return b"\x30" + length + b"\0\1t" + payload


def pub(payload: bytes) -> bytes:
    """Write a PUB of NATS."""
    return b"PUB a %d\r\n%b\r\n" % (len(payload), payload)


def put(payload: bytes) -> bytes:
    """Write a put of beanstalkd."""
    return b"put 1 0 60 %d\r\n%b\r\n" % (len(payload), payload)


SESSION = SUBSCRIBE + AUTHORIZE + LOGIN + SUBMIT
VALUE = SUBSCRIBE.strip()
INFO = b'INFO {"server_id":"A","version":"2.9.10","max_payload":1048576}\r\n'
HELLO = b'CONNECT {"echo": true, "lang": "python3"}\r\n'
CONNECT, CONNACK = b"\x10\x0f\0\4MQTT\4\2\0\x3c\0\3rig", b"\x20\2\0\0"
MSG = b"MSG a 1 %d\r\n%b\r\n" % (len(SESSION), SESSION)
RESERVED = b"RESERVED 8 %d\r\n%b\r\n" % (len(JOB), JOB)

HONEST: dict[str, tuple[AppProto, Turns]] = {
    "Redis, set and got": (
        AppProto.REDIS,
        [
            (C, resp(b"SET", b"k", SESSION)),
            (S, b"+OK\r\n"),
            (C, resp(b"GET", b"k")),
            (S, b"$%d\r\n%b\r\n" % (len(SESSION), SESSION)),
        ],
    ),
    "Redis, several at once": (
        AppProto.REDIS,
        [(C, resp(b"SET", b"k", VALUE) * 3), (S, b"+OK\r\n" * 3), (S, resp(b"message", VALUE))],
    ),
    "Redis, values come first": (
        AppProto.REDIS,
        [(C, resp(b"MGET", b"k")), (S, resp(VALUE, SESSION, NOTIFY))],
    ),
    "NATS": (AppProto.NATS, [(S, INFO), (C, HELLO + pub(VALUE) + pub(SESSION)), (S, MSG)]),
    "beanstalkd": (
        AppProto.BEANSTALKD,
        [(C, put(VALUE)), (S, b"INSERTED 1\r\n"), (C, b"reserve\r\n"), (S, RESERVED)],
    ),
    "MQTT": (
        AppProto.MQTT,
        [
            (C, CONNECT),
            (S, CONNACK),
            (C, publication(b"\n" + SESSION)),
            (S, publication(b"\n" + JOB) + b"\x90\3\0\1\0"),
        ],
    ),
}

FAKES: dict[str, Callable[[bytes], bytes]] = {
    "Redis, an endless value": lambda said: b"*1\r\n$5000\r\n" + said,
    "Redis, values that fit": lambda said: resp(b"SET", b"k", said, said.strip()),
    "beanstalkd, an endless job": lambda said: b"put 0 0 60 5000\r\n" + said,
    "beanstalkd, a job that fits": lambda said: b"use bench\r\n" + put(said),
    "MQTT, an endless payload": lambda said: CONNECT + b"\x30\xff\x7f\0\1t\n" + said,
    "MQTT, a payload that fits": lambda said: CONNECT + publication(b"\n" + said),
}
"""Ways for a miner to write a head before what it says."""


def feed(inspector: Inspector, turns: Turns) -> list[Finding]:
    """Give an inspector what both say, and return what it finds."""
    return [one for way, said in turns for one in inspector.receive(way, said, 0.0)]


def cut(turns: Turns, at: int) -> Turns:
    """Cut every turn that is long enough in two, ``at`` bytes from its beginning."""
    return [(way, part) for way, said in turns for part in (said[:at], said[at:]) if part]


def cuts(turns: Turns) -> list[Turns]:
    """Return turns whole, byte by byte, and cut in two at many places."""
    longest = max(len(said) for _, said in turns)
    by_byte = [(way, said[n : n + 1]) for way, said in turns for n in range(len(said))]
    places = range(1, longest, max(1, longest // MAX_CUTS))
    return [turns, by_byte, *(cut(turns, at) for at in places)]


@pytest.mark.parametrize("name", HONEST)
def test_values_of_two_ends_that_keep_the_protocol_are_nobodys_messages(
    core: Pack, name: str
) -> None:
    """Nothing is told, however the bytes come, and the flow is called what it is."""
    app_proto, turns = HONEST[name]
    for ways in cuts(turns):
        inspector = Inspector(core)
        assert feed(inspector, ways) == []
        assert inspector.app_proto is app_proto
        assert not inspector.partial
        assert not inspector.half_json


@pytest.mark.parametrize("fake", FAKES)
@pytest.mark.parametrize(
    "answer", [b'{"id":1,"result":true}\n', NOTIFY, b"\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"]
)
def test_a_miner_behind_a_head_is_told_with_the_first_bytes_of_a_pools_answer(
    core: Pack, fake: str, answer: bytes
) -> None:
    """What a client alone says is held, and told as soon as the server does not answer in kind."""
    wearing = FAKES[fake](SUBSCRIBE + AUTHORIZE)
    for said in cuts([(C, wearing)]):
        inspector = Inspector(core)
        assert feed(inspector, said) == []
        assert inspector.partial
        found = inspector.receive(S, answer[:1], 0.0)
        assert {one.signature.id for one in found} == MINING
        assert all(one.direction is C for one in found)
        assert all(wearing[one.offset : one.end] == one.excerpt for one in found)


@pytest.mark.parametrize("fake", FAKES)
def test_behind_a_head_that_was_no_good_lines_are_read_on(core: Pack, fake: str) -> None:
    """After the pool's answer both directions are read as if there had been no head."""
    inspector = Inspector(core)
    feed(inspector, [(C, FAKES[fake](b"\n")), (S, b'{"id":1,"result":true}\n')])
    found = feed(inspector, [(C, AUTHORIZE), (S, NOTIFY)])
    assert {"stratum-v1-authorize", "stratum-v1-notify"} <= {one.signature.id for one in found}


def test_a_message_amid_its_first_half_is_told_by_its_second(core: Pack) -> None:
    """A line that a pool's answer interrupts is not lost with the trust in its head."""
    inspector = Inspector(core)
    feed(inspector, [(C, b"*1\r\n$5000\r\n" + LOGIN[:40]), (S, b"{")])
    assert "cryptonote-login" in {one.signature.id for one in feed(inspector, [(C, LOGIN[40:])])}


def test_a_head_that_breaks_by_itself_delays_nothing(core: Pack) -> None:
    """Where the client's own framing does not hold, its first message is told at once."""
    for fake in (b"*1\n$5\n", resp(b"PING") + b"\n", b"use the force\r\n", b"*1\r\n$4\r\n"):
        found = feed(Inspector(core), [(C, fake + SUBSCRIBE)])
        assert "stratum-v1-subscribe" in {one.signature.id for one in found}, fake


@pytest.mark.parametrize("name", HONEST)
@pytest.mark.parametrize("way", [C, S])
def test_ends_that_leave_the_protocol_are_read_as_lines(
    core: Pack, name: str, way: Direction
) -> None:
    """Trust lasts as long as the framing: the first line outside of it is judged, in both ways."""
    said = HONEST[name][1]
    inspector = Inspector(core)
    assert feed(inspector, said) == []
    found = feed(inspector, [(way, SUBSCRIBE), (way.opposite, LOGIN)])
    assert [(one.signature.id, one.direction) for one in found] == [
        ("stratum-v1-subscribe", way),
        ("cryptonote-login", way.opposite),
    ]
    assert found[0].offset == sum(len(one) for to, one in said if to is way)


def test_who_speaks_first_decides_whether_a_head_means_anything(core: Pack) -> None:
    """A server cannot begin with a command, nor a client with a greeting, nor behind JSON."""
    turns: list[Turns] = [
        [(S, resp(b"SET", b"k", VALUE))],
        [(C, INFO + SUBSCRIBE)],
        [(C, HELLO + pub(VALUE))],
        [(S, b'{"id":1}\n'), (C, resp(b"SET", b"k", VALUE))],
    ]
    for one in turns:
        found = feed(Inspector(core), one)
        assert "stratum-v1-subscribe" in {finding.signature.id for finding in found}, one


def test_nobody_waits_for_an_answer_for_ever(core: Pack) -> None:
    """Findings are told when as many bytes as the patience lasts have proved nothing."""
    for size in (1000, PATIENCE):
        inspector = Inspector(core)
        said = b"*1\r\n$9999999\r\n" + SUBSCRIBE
        said += b"x" * (PATIENCE - len(said))
        for at in range(0, len(said) - size, size):
            assert inspector.receive(C, said[at : at + size], 0.0) == ()
        found = inspector.receive(C, said[max(0, (len(said) - 1) // size * size) :], 0.0)
        assert {one.signature.id for one in found} == {"stratum-v1-subscribe"}


def test_what_is_held_is_bounded(core: Pack) -> None:
    """Ten thousand messages without an answer are held as the first few of each signature."""
    inspector = Inspector(core)
    said = b"*1\r\n$9999999\r\n"
    for _ in range(1000):
        said += SUBSCRIBE + AUTHORIZE
    assert feed(inspector, [(C, said)]) == []
    assert inspector.held < 8 * 1024
    told = inspector.receive(S, b"{", 0.0)
    assert len(told) <= MAX_ALIKE * len({one.signature.id for one in told})


def test_only_what_stands_before_a_break_is_held_back(core: Pack) -> None:
    """Of lines behind the break in the same segment every one is told, as if each came alone."""
    said = resp(*[VALUE] * 5) + (SUBSCRIBE + b"x\n") * 5
    whole, by_byte = Inspector(core), Inspector(core)
    found = whole.receive(C, said, 0.0)
    assert len(found) == MAX_ALIKE + 5
    assert tuple(feed(by_byte, [(C, said[n : n + 1]) for n in range(len(said))])) == found


def test_a_gap_before_there_is_trust_ends_the_wait(core: Pack) -> None:
    """Lost bytes may be the proof that it is no protocol, so what was held is told."""
    inspector = Inspector(core)
    feed(inspector, [(C, put(SUBSCRIBE))])
    inspector.gap(S, 100)
    found = inspector.receive(S, b'"}\n', 0.0)
    assert {one.signature.id for one in found} == {"stratum-v1-subscribe"}


def test_a_gap_in_one_direction_leaves_the_other_its_trust(core: Pack) -> None:
    """Behind lost bytes lines are read, because nobody knows where in a value they are."""
    inspector = Inspector(core)
    feed(inspector, HONEST["Redis, set and got"][1])
    inspector.gap(C, 1000)
    found = feed(inspector, [(C, SUBSCRIBE), (S, resp(VALUE))])
    assert [(one.signature.id, one.direction) for one in found] == [("stratum-v1-subscribe", C)]


@pytest.mark.parametrize("fake", FAKES)
def test_a_pools_answer_to_a_miner_behind_a_head_never_arrives(core: Pack, fake: str) -> None:
    """In the pipeline the login passes, and the packet that answers it is dropped and alerted."""
    pipeline, connection = Pipeline(core, Policy(mode=Mode.ENFORCE)), Connection()
    for packet in (connection.syn(), connection.syn_ack(), connection.client(FAKES[fake](LOGIN))):
        assert pipeline.packet(packet, 1.0).fate not in (Fate.DROP, Fate.CLEAR)
    decision = pipeline.packet(connection.server(JOB), 1.1)
    assert decision.fate is Fate.DROP
    assert "cryptonote-login" in {one.alert.signature_id for one in decision.alerts}
    assert decision.block is not None


def test_an_honest_exchange_passes_and_is_given_to_the_kernel(core: Pack) -> None:
    """In the pipeline values pass, alert nothing, and cost no more than the depth."""
    pipeline, connection = Pipeline(core, Policy(mode=Mode.ENFORCE)), Connection()
    value = (SESSION * 40)[: 20 * 1024]
    fates = [
        pipeline.packet(connection.client(resp(b"SET", b"k", SESSION)), 1.0),
        pipeline.packet(connection.server(b"+OK\r\n"), 1.1),
        pipeline.packet(connection.client(resp(b"SET", b"k", value)), 1.2),
    ]
    assert [decision.alerts for decision in fates] == [(), (), ()]
    assert fates[0].fate is not Fate.CLEAR
    assert fates[2].fate is Fate.CLEAR


PIECES = (
    *(resp(b"SET", b"k", VALUE), b"+OK\r\n", b"*2\r\n", b"$65\r\n", b"$-1\r\n", resp(b"x")),
    *(INFO, HELLO, pub(VALUE), MSG, b"PING\r\n", CONNECT, CONNACK, publication(SESSION)),
    *(b"use t\r\n", put(VALUE), b"INSERTED 1\r\n", RESERVED, b"\r\n", LOGIN, SUBSCRIBE, NOTIFY),
)
TURNS = st.lists(
    st.tuples(st.sampled_from([C, S]), st.sampled_from(PIECES) | st.binary(max_size=20)),
    max_size=10,
)


def answers(turns: Turns, cutting: Callable[[bytes], list[bytes]]) -> list[object]:
    """Return what each turn tells, and how the flow stands behind it."""
    inspector, told = Inspector(core_pack()), list[object]()
    for way, said in turns:
        found = [one for part in cutting(said) for one in inspector.receive(way, part, 0.0)]
        told += [(one.signature.id, one.direction, one.offset, one.end) for one in found]
        told += [inspector.settled, inspector.partial, inspector.half_json, inspector.app_proto]
        assert inspector.held <= 1 << 20
    return told


@settings(max_examples=200, deadline=None)
@given(TURNS, st.data())
def test_any_mixture_is_judged_alike_in_any_pieces(turns: Turns, data: st.DataObject) -> None:
    """Whether there is trust, and what is told, does not depend on how the bytes are cut."""

    def pieces(said: bytes) -> list[bytes]:
        at = data.draw(st.lists(st.integers(0, len(said)), max_size=3).map(sorted))
        return [said[a:b] for a, b in itertools.pairwise([0, *at, len(said)])]

    assert answers(turns, pieces) == answers(turns, lambda said: [said])
