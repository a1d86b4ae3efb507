"""What findings of one flow amount to together: their sum, the verdict, and what is told of it."""

from dataclasses import replace
from itertools import combinations_with_replacement
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.packets import Connection
from tests.streams import core_pack

from davylamp.decision import Fate
from davylamp.events import Action, AlertEvent
from davylamp.flow import Direction, FlowKey, Proto
from davylamp.fusion import Part, Sum, Suspicion, counts, weight
from davylamp.inspection.finding import MAX_EXCERPT, Finding
from davylamp.pipeline import Pipeline
from davylamp.policy import Mode, Policy
from davylamp.signatures.model import Category, Kind, Maturity, SignatureId

KEY = FlowKey(Proto.TCP, bytes((10, 0, 0, 2)), 40_000, bytes((203, 0, 113, 9)), 3333)
ADDRESS = "4" + "8" * 94
LOGIN = f'{{"id":1,"q":"hello","params":["{ADDRESS}.rig7","x"]}}\n'.encode()
SHARE = f'{{"id":4,"q":"take","params":["{ADDRESS}.rig7","j1","0000000a","5e8f3a10","1a2b3c4d"]}}\n'
PING = b'{"id":9,"method":"mining.ping","params":[]}\n'
DOUBTFUL = b'{"id":null,"method":"client.reconnect","params":["b.example",3333,0]}\n'


def finding(kind: Kind, confidence: int, at: int = 0, **signature: object) -> Finding:
    """Return a finding of a stable signature about mining, unless another one is asked for."""
    login = core_pack().signatures[SignatureId("cryptonote-login")]
    changed = replace(login, **({"kind": kind, "confidence": confidence} | signature))  # type: ignore[arg-type]
    return Finding(changed, confidence, Direction.ORIGINATOR, at, at + 1, b"{")


FINDINGS = st.lists(
    st.builds(
        finding,
        st.sampled_from(Kind),
        st.integers(0, 100),
        st.integers(0, 3),
        id=st.sampled_from(["a", "b", "c"]),
        category=st.sampled_from(Category),
        maturity=st.sampled_from(Maturity),
    ),
    max_size=12,
)


def weighed(*pieces: list[Finding]) -> Sum:
    """Return the sum of what several pieces of one flow told."""
    suspicion, together = Suspicion(), Sum()
    for found in pieces:
        together = suspicion.weigh(found)
    return together


def kinds(together: Sum) -> list[tuple[Kind, int]]:
    """Return what counts, without whose evidence it is."""
    return [(part.finding.kind, part.confidence) for part in together.parts]


@given(FINDINGS, st.randoms(use_true_random=False))
def test_the_order_of_findings_does_not_matter(found: list[Finding], chance: Random) -> None:
    """Of one piece or of several, in any order, the same adds up."""
    shuffled = list(found)
    chance.shuffle(shuffled)
    assert kinds(weighed(found)) == kinds(weighed(shuffled))
    apart = [replace(one, offset=10 * n, end=10 * n + 1) for n, one in enumerate(found)]
    other = list(apart)
    chance.shuffle(other)
    one_by_one = weighed(*([one] for one in other))
    assert kinds(weighed(apart)) == kinds(one_by_one)


@given(FINDINGS)
def test_a_sum_is_bounded(found: list[Finding]) -> None:
    """One part a kind, each from 51 to 99, none certain, and no more held than that."""
    suspicion = Suspicion()
    together = suspicion.weigh(found)
    counted = [part.finding.kind for part in together.parts]
    assert len(counted) == len(set(counted)) <= len(Kind)
    assert all(51 <= part.confidence <= 99 for part in together.parts)
    assert all(counts(part.finding) for part in together.parts)
    assert together.confidence <= 99
    assert together.confidence >= max((part.confidence for part in together.parts), default=0)
    assert suspicion.held <= len(Kind) * (MAX_EXCERPT + 256)


@given(FINDINGS, FINDINGS)
def test_what_is_learned_later_never_weighs_less(first: list[Finding], then: list[Finding]) -> None:
    """A flow does not become less suspect by what it says next."""
    assert weighed(first, then).weight >= weighed(first).weight
    assert weighed(first, then).confidence >= weighed(first).confidence


@given(st.integers(51, 99), st.integers(51, 99), st.integers(1, 100))
def test_a_sum_reaches_what_its_confidence_says(one: int, two: int, threshold: int) -> None:
    """The number that is printed and the verdict agree."""
    together = weighed([finding(Kind.LOGIN, one)], [finding(Kind.SHARE, two, 5)])
    assert together.reaches(threshold) is (together.confidence >= threshold)


def test_every_pair_reaches_what_its_confidence_says() -> None:
    """No two confidences stand so that rounding would deny what was blocked."""
    for one, two in combinations_with_replacement(range(51, 100), 2):
        together = Sum((Part(finding(Kind.LOGIN, one)), Part(finding(Kind.SHARE, two))))
        for threshold in (together.confidence, together.confidence + 1, 80):
            assert together.reaches(threshold) is (together.confidence >= threshold), (one, two)


def test_odds_multiply() -> None:
    """Two findings of 70 are odds of 7:3 twice, 49:9, which is 84 in 100."""
    together = weighed([finding(Kind.LOGIN, 70)], [finding(Kind.JOB, 70, 9)])
    assert together.confidence == 84
    assert together.weight == pytest.approx(2 * weight(70))
    assert weight(50) == 0


def test_one_message_is_one_observation() -> None:
    """A message that two signatures of different kinds tell counts as the surer says, once."""
    together = weighed([finding(Kind.LOGIN, 66), finding(Kind.SHARE, 74)])
    assert kinds(together) == [(Kind.SHARE, 74)]


# --- the verdict ----------------------------------------------------------------------------------


def test_two_weak_findings_of_different_kinds_block() -> None:
    """Each alone alerts; the one that completes the sum is refused, with the sum as the reason."""
    login, share = finding(Kind.LOGIN, 66), finding(Kind.SHARE, 74, 9)
    assert Policy().judge(login, KEY, weighed([login])).action is Action.ALERT
    verdict = Policy().judge(share, KEY, weighed([login], [share]))
    assert verdict.action is Action.REJECT
    assert verdict.block_endpoint
    assert verdict.reason == "together 84 of 80 needed: share 74 + login 66"


def test_the_same_kind_twice_does_not_block() -> None:
    """Two logins are one observation, whatever signatures told them."""
    one, two = finding(Kind.LOGIN, 75, id="a"), finding(Kind.LOGIN, 75, 9, id="b")
    assert Policy().judge(two, KEY, weighed([one], [two])).action is Action.ALERT


@pytest.mark.parametrize("how", [{"maturity": Maturity.INCUBATING}, {"category": Category.ANOMALY}])
def test_what_is_doubtful_or_another_matter_never_counts(how: dict[str, object]) -> None:
    """It adds nothing to a weak finding, and is not blocked itself because of one."""
    weak, other = finding(Kind.LOGIN, 75), finding(Kind.SHARE, 78, 9, **how)
    together = weighed([weak], [other])
    assert kinds(together) == [(Kind.LOGIN, 75)]
    for one in (weak, other):
        assert Policy().judge(one, KEY, together).action is Action.ALERT


def test_a_name_helps_to_block_a_flow_but_not_an_address() -> None:
    """Where the sum needs a pool's name, the address behind it may be a CDN's."""
    name, login = finding(Kind.NAME, 70, category=Category.POOL), finding(Kind.LOGIN, 75, 9)
    verdict = Policy().judge(login, KEY, weighed([name], [login]))
    assert verdict.action is Action.REJECT
    assert not verdict.block_endpoint


def test_too_little_says_how_much_is_missing() -> None:
    """An alert on a part says what the sum is, so that one sees how near it was."""
    one, two = finding(Kind.LOGIN, 60), finding(Kind.SHARE, 60, 9)
    verdict = Policy().judge(two, KEY, weighed([one], [two]))
    assert verdict.action is Action.ALERT
    assert verdict.reason.endswith("and so is together 69 of 80 needed: login 60 + share 60")


# --- on packets -----------------------------------------------------------------------------------


def told(pipeline: Pipeline, *messages: bytes) -> tuple[list[Fate], list[AlertEvent]]:
    """Send a client's messages through a pipeline; return their fates and the alerts."""
    connection = Connection()
    fates: list[Fate] = []
    alerts: list[AlertEvent] = []
    pipeline.packet(connection.syn(), 1.0)
    pipeline.packet(connection.syn_ack(), 1.0)
    for message in messages:
        decision = pipeline.packet(connection.client(message), 2.0)
        fates.append(decision.fate)
        alerts += decision.alerts
    return fates, alerts


def test_a_renamed_session_is_stopped_at_its_share() -> None:
    """A login that only its shape gives away passes; the share behind it is dropped."""
    fates, alerts = told(Pipeline(core_pack(), Policy()), LOGIN, SHARE.encode())
    assert fates == [Fate.ACCEPT, Fate.DROP]
    first, second = alerts
    assert (first.alert.signature_id, first.fusion) == ("renamed-credentials", None)
    assert second.alert.signature_id == "renamed-share"
    assert second.verdict.reason == "together 84 of 80 needed: share 74 + login 66"
    assert [one.signature_id for one in second.evidence] == ["renamed-share", "renamed-credentials"]
    assert all(ADDRESS not in one.excerpt for one in second.evidence)
    fusion = second.fusion
    assert fusion is not None
    assert (fusion.confidence, fusion.needed, fusion.weight) == (84, 80, 7.4)
    assert [(one.kind, one.confidence, one.weight) for one in fusion.parts] == [
        ("share", 74, 4.5),
        ("login", 66, 2.9),
    ]


def test_logins_alone_go_on() -> None:
    """Ten logins are one login, and alert once."""
    fates, alerts = told(Pipeline(core_pack(), Policy()), *[LOGIN] * 10)
    assert fates == [Fate.ACCEPT] * 10
    assert len(alerts) == 1


def test_doubtful_findings_beside_a_weak_one_go_on() -> None:
    """A reconnect is incubating: with a ping it makes two alerts and no block."""
    fates, alerts = told(Pipeline(core_pack(), Policy()), PING, DOUBTFUL)
    assert Fate.DROP not in fates
    assert {one.alert.signature_id for one in alerts} == {"stratum-v1-ping", "stratum-v1-reconnect"}
    assert all(one.fusion is None for one in alerts)


def test_observing_says_what_enforcing_would_do() -> None:
    """Nothing is dropped, and the alert says that the sum would have been."""
    fates, alerts = told(Pipeline(core_pack(), Policy(mode=Mode.OBSERVE)), LOGIN, SHARE.encode())
    assert Fate.DROP not in fates
    reason = alerts[-1].verdict.reason
    assert reason.startswith("observe mode; enforce would reject: together 84 of 80 needed")
    assert alerts[-1].fusion is not None
