"""Findings to verdicts."""

from dataclasses import replace
from ipaddress import ip_network

import pytest
from tests.streams import core_pack

from davylamp.events import Action
from davylamp.flow import Direction, FlowKey, Proto
from davylamp.inspection.finding import Finding
from davylamp.policy import DEFAULT_ACTIONS, Mode, Policy, SshPolicy, Verdict, gravity
from davylamp.signatures.model import Category, Maturity, SignatureId

KEY = FlowKey(Proto.TCP, bytes((10, 0, 0, 2)), 40_000, bytes((203, 0, 113, 9)), 3333)
SSH = replace(KEY, resp_port=22)
OWN_NODE = replace(KEY, resp_addr=bytes((192, 168, 7, 7)))


def finding(identity: str, layers: tuple[str, ...] = ("tcp",)) -> Finding:
    """Return a finding of one of the core pack's signatures."""
    signature = core_pack().signatures[SignatureId(identity)]
    return Finding(signature, signature.confidence, Direction.ORIGINATOR, 0, 1, b"{", layers)


def of(category: Category) -> Finding:
    """Return a conclusive finding of a category."""
    found = finding("cryptonote-login")
    return replace(found, signature=replace(found.signature, category=category))


MINING = finding("cryptonote-login")
SNI = finding("pool-name-tls-sni", ("tcp", "tls"))
DNS = finding("pool-name-dns-query", ("udp", "dns"))
BANNER = finding("ssh-banner-unexpected", ("tcp", "ssh"))
CONFLICT = finding("tcp-overlap-conflict")

# name, finding, flow, action, whether the endpoint is blocked
CASES = [
    ("mining is rejected and its endpoint blocked", MINING, KEY, Action.REJECT, True),
    ("a pool's name is rejected, its address is not blocked", SNI, KEY, Action.REJECT, False),
    ("a pool's name in DNS is told", DNS, KEY, Action.ALERT, False),
    ("SSH to port 22 passes", BANNER, SSH, Action.PASS, False),
    ("SSH elsewhere is rejected", BANNER, KEY, Action.REJECT, True),
    ("peer-to-peer is told", of(Category.P2P), KEY, Action.ALERT, False),
    ("solo mining is stopped", of(Category.SOLO), KEY, Action.REJECT, True),
    ("a node of the site's own", of(Category.SOLO), OWN_NODE, Action.ALERT, False),
    ("an anomaly is told", CONFLICT, KEY, Action.ALERT, False),
]


@pytest.mark.parametrize(
    ("found", "key", "action", "blocks_endpoint"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_the_default_policy(
    found: Finding, key: FlowKey, action: Action, blocks_endpoint: bool
) -> None:
    """What a site gets that configures nothing, with a reason in words each time."""
    verdict = Policy().judge(found, key)
    assert (verdict.action, verdict.block_endpoint) == (action, blocks_endpoint)
    assert verdict.blocks is (action is Action.REJECT)
    assert verdict.reason


@pytest.mark.parametrize(
    "case", [MINING, SNI, DNS, BANNER, CONFLICT], ids=lambda found: found.signature.id
)
def test_observe_mode_never_blocks(case: Finding) -> None:
    """Whatever the policy, observing alerts, and says what enforcing would do."""
    actions = dict.fromkeys(Category, Action.REJECT)
    verdict = Policy(mode=Mode.OBSERVE, actions=actions, dns=Action.REJECT).judge(case, KEY)
    assert not verdict.blocks
    assert not verdict.block_endpoint
    assert verdict.action is Action.ALERT


@pytest.mark.parametrize("action", list(Action))
def test_a_category_may_have_another_action(action: Action) -> None:
    """A site's own answer to a category replaces the default one."""
    policy = Policy(actions={**DEFAULT_ACTIONS, Category.MINING: action})
    verdict = policy.judge(MINING, KEY)
    assert verdict.action is action
    assert verdict.block_endpoint is (action in (Action.DROP, Action.REJECT))


@pytest.mark.parametrize("maturity", [Maturity.INCUBATING, Maturity.SANDBOX])
def test_an_unripe_signature_only_alerts(maturity: Maturity) -> None:
    """Only a stable signature may block, however sure it is."""
    unripe = replace(MINING, signature=replace(MINING.signature, maturity=maturity))
    verdict = Policy().judge(unripe, KEY)
    assert verdict.action is Action.ALERT
    assert maturity in verdict.reason


def test_an_unsure_finding_only_alerts() -> None:
    """Below the threshold nothing is blocked; at it, it is."""
    policy = Policy(block_confidence=80)
    assert policy.judge(replace(MINING, confidence=79), KEY).action is Action.ALERT
    assert policy.judge(replace(MINING, confidence=80), KEY).action is Action.REJECT


@pytest.mark.parametrize(
    ("ports", "networks", "port", "address", "allowed"),
    [
        ({22}, [], 22, "198.51.100.1", True),
        ({22}, [], 2222, "198.51.100.1", False),
        ({22, 2222}, [], 2222, "2001:db8::1", True),
        ({22}, ["198.51.100.0/24"], 22, "198.51.100.1", True),
        ({22}, ["198.51.100.0/24"], 22, "203.0.113.1", False),
        ({22}, ["198.51.100.0/24"], 22, "2001:db8::1", False),
        ({22}, ["2001:db8::/32"], 22, "2001:db8::1", True),
        (set(), [], 22, "198.51.100.1", False),
    ],
)
def test_where_ssh_may_go(
    ports: set[int], networks: list[str], port: int, address: str, allowed: bool
) -> None:
    """Ports and networks both have to fit; no network named means anywhere."""
    policy = SshPolicy(frozenset(ports), tuple(map(ip_network, networks)))
    packed = ip_network(address).network_address.packed
    assert policy.allows(replace(KEY, resp_addr=packed, resp_port=port)) is allowed


def test_the_gravest_verdict_counts() -> None:
    """A rejection is graver than a drop, a blocked endpoint than an open one."""
    ordered = [
        Verdict(Action.PASS, ""),
        Verdict(Action.ALERT, ""),
        Verdict(Action.DROP, ""),
        Verdict(Action.REJECT, ""),
        Verdict(Action.REJECT, "", block_endpoint=True),
    ]
    assert sorted(ordered, key=gravity) == ordered
    assert len({gravity(verdict) for verdict in ordered}) == len(ordered)
