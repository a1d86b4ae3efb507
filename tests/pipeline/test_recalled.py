"""Flows that the kernel had cleared and brings back: a late start of mining is caught."""

from tests.packets import Connection
from tests.streams import GET, JOB, LOGIN, RPC, SUBMIT, post

from davylamp.decision import Fate
from davylamp.flowtable import FLOW_OVERHEAD
from davylamp.inspection.finding import MAX_EXCERPT
from davylamp.pipeline import Pipeline
from davylamp.policy import Mode, Policy
from davylamp.signatures.pack import Pack

MEGABYTE = 1 << 20


def test_a_whole_message_in_a_recalled_flow_is_judged_alone(core: Pack) -> None:
    """Ordinary JSON clears the flow again and leaves nothing; mining is dropped."""
    pipeline = Pipeline(core, Policy())
    connection = Connection(sent={"client": 5 * MEGABYTE, "server": 50 * MEGABYTE})
    assert pipeline.packet(connection.client(RPC), 1.0, triggered=True).fate is Fate.CLEAR
    assert pipeline.tracked == 0
    decision = pipeline.packet(connection.client(LOGIN), 2.0, triggered=True)
    assert decision.fate is Fate.DROP
    assert decision.block is not None


def test_half_a_message_rearms_until_it_is_whole(core: Pack) -> None:
    """The flow comes here while a message is unfinished, and is the kernel's after it."""
    for text, last in ((RPC, Fate.CLEAR), (LOGIN, Fate.DROP), (post(RPC), Fate.CLEAR)):
        pipeline = Pipeline(core, Policy())
        connection = Connection(sent={"client": 5 * MEGABYTE, "server": MEGABYTE})
        first, middle, end = (connection.client(part) for part in (text[:9], text[9:40], text[40:]))
        assert pipeline.packet(first, 1.0, triggered=True).fate is Fate.REARM
        assert pipeline.packet(middle, 1.1).fate is Fate.REARM
        assert pipeline.packet(end, 1.2).fate is last


def test_a_rearmed_flow_is_read_in_order(core: Pack) -> None:
    """Reordering the rest of a message that rearmed a flow does not get it past us."""
    pipeline = Pipeline(core, Policy())
    connection = Connection(sent={"client": MEGABYTE, "server": 0})
    first, second, third = (connection.client(p) for p in (LOGIN[:30], LOGIN[30:60], LOGIN[60:]))
    assert pipeline.packet(first, 1.0, triggered=True).fate is Fate.REARM
    assert pipeline.packet(third, 1.1).fate is Fate.REARM
    assert pipeline.packet(second, 1.2).fate is Fate.DROP


def test_bytes_that_passed_unseen_are_given_up(core: Pack) -> None:
    """What the other end acknowledges was delivered before the flow came back: no one waits."""
    pipeline = Pipeline(core, Policy())
    connection = Connection(sent={"client": MEGABYTE, "server": MEGABYTE})
    request = post(b'{"a":"' + b"x" * 9000 + b'"}')
    assert (
        pipeline.packet(connection.client(request[:1448]), 1.0, triggered=True).fate is Fate.REARM
    )
    connection.client(request[1448:])  # in the kernel already when the verdict came
    answer = connection.server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert pipeline.packet(answer, 1.1).fate is Fate.CLEAR
    assert pipeline.tracked == 0


def test_a_hole_that_never_fills_does_not_stop_a_recalled_flow(core: Pack) -> None:
    """Where bytes passed unseen and no one says so, the hole is given up at the bound."""
    pipeline = Pipeline(core, Policy())
    connection = Connection(sent={"client": MEGABYTE, "server": 0})
    assert pipeline.packet(connection.client(b'{"a":"'), 1.0, triggered=True).fate is Fate.REARM
    connection.client(b"unseen")
    fates = [pipeline.packet(connection.client(b"x" * 1448), 2.0).fate for _ in range(400)]
    assert Fate.DROP not in fates
    assert Fate.CLEAR in fates


def test_a_kernels_recall_of_a_known_flow_skips_what_it_had_cleared(core: Pack) -> None:
    """A recalled packet says by itself that what was before it may have passed."""
    pipeline = Pipeline(core, Policy())
    connection = Connection(sent={"client": MEGABYTE, "server": 0})
    pipeline.packet(connection.client(b'{"half'), 1.0, triggered=True)
    connection.client(b"unseen" * 1000)
    assert pipeline.packet(connection.client(LOGIN), 2.0, triggered=True).fate is Fate.DROP


def test_a_message_behind_a_cleared_request_is_waited_for(core: Pack) -> None:
    """A packet that was in the queue when an earlier one cleared its flow rearms it."""
    pipeline = Pipeline(core, Policy())
    connection = Connection(dport=80)
    request, first, second = (connection.client(part) for part in (GET, LOGIN[:40], LOGIN[40:]))
    fates = [pipeline.packet(packet, 1.0).fate for packet in (request, first, second)]
    assert fates == [Fate.CLEAR, Fate.REARM, Fate.DROP]


def test_a_reported_flow_is_reported_once_however_often_it_comes_back(core: Pack) -> None:
    """In observe mode a miner's flow is cleared and recalled with every share: one alert each."""
    pipeline = Pipeline(core, Policy(mode=Mode.OBSERVE))
    connection = Connection(sent={"client": MEGABYTE, "server": MEGABYTE})
    told: list[str] = []
    for n in range(20):
        for packet in (connection.client(SUBMIT), connection.server(JOB)):
            decision = pipeline.packet(packet, 1.0 + n, triggered=True)
            told += [alert.alert.signature_id for alert in decision.alerts]
            assert decision.fate is Fate.CLEAR
        connection.client(b"unseen" * 100)
    assert sorted(told) == sorted(set(told))
    assert {"cryptonote-job", "cryptonote-submit"} <= set(told)
    findings = pipeline.held - FLOW_OVERHEAD  # the surest job and the surest share, no bytes
    assert 0 < findings <= 2 * (MAX_EXCERPT + 256)
