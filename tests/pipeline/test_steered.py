"""Who is trusted, what an answer binds, and which ClientHello may stay on the kernel's road."""

import struct

import pytest
from tests.packets import OUTSIDE, OUTSIDE6, SANDBOX, SANDBOX6, Connection, datagram
from tests.streams import LOGIN, POOL_NAME, client_hello, dns_name, dns_query, over_tcp

from davylamp.decision import Decision, Fate, NameBinding
from davylamp.events import Action
from davylamp.pipeline import Pipeline, Steering, Vantage
from davylamp.pipeline.steered import MAX_PACKET_BINDINGS
from davylamp.policy import Policy
from davylamp.signatures.pack import Pack
from davylamp.steering import SteeringPolicy, TrustedNames
from davylamp.wiring import networks_of

RESOLVER = "198.51.100.53"
INSIDE = networks_of(("10.88.0.0/16", "fd88::/64"), "test")


class Known:
    """Bindings in a set."""

    def __init__(self, *bound: tuple[bytes, bytes, str]) -> None:
        self._bound = frozenset(bound)

    def bound(self, orig_addr: bytes, resp_addr: bytes, name: str) -> bool:
        """Look it up."""
        return (orig_addr, resp_addr, name) in self._bound


def steered(core: Pack, *bound: tuple[bytes, bytes, str], enforcing: bool = True) -> Pipeline:
    """Return a pipeline that trusts pypi.org and what is below it, and one resolver."""
    policy = SteeringPolicy(
        trusted=TrustedNames(("pypi.org", "*.example.net")),
        resolvers=frozenset({bytes((198, 51, 100, 53))}),
        inside=INSIDE,
        exempt=networks_of(("203.0.113.128/25",), "test"),
    )
    steering = Steering(policy, Known(*bound), enforcing=enforcing)
    return Pipeline(core, Policy(), steering=steering)


def answer(question: str, *records: tuple[str, int, bytes, int]) -> bytes:
    """Return a response with records of (name, type, data, time to live)."""
    head = struct.pack(">HHHHHH", 7, 0x8180, 1, len(records), 0, 0)
    body = b"".join(
        dns_name(name) + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data
        for name, kind, data, ttl in records
    )
    return head + dns_name(question) + b"\0\1\0\1" + body


def told(pipeline: Pipeline, message: bytes, resolver: str = RESOLVER) -> Decision:
    """Return what becomes of an answer to the sandbox."""
    packet = datagram(message, sport=53, dport=33_000, src=resolver, dst=SANDBOX)
    return pipeline.packet(packet, 1.0)


@pytest.mark.parametrize(
    ("name", "trusted"),
    [
        ("pypi.org", True),
        ("PyPI.org.", True),
        ("files.pypi.org", True),
        ("notpypi.org", False),
        ("org", False),
        ("", False),
        ("pypi.org.evil.example", False),
        ("a.b.example.net", True),
    ],
)
def test_a_name_stands_for_itself_and_all_below(name: str, *, trusted: bool) -> None:
    """What only looks like a trusted name is none."""
    assert TrustedNames(("PyPI.org", "*.example.net", ".")).trusts(name) is trusted


def test_an_answer_binds_a_trusted_name_through_its_aliases(core: Pack) -> None:
    """The asker may go to the address at the chain's end, under the name that is trusted."""
    message = answer(
        "pypi.org",
        ("pypi.org", 5, dns_name("cdn.example.org"), 30),
        ("cdn.example.org", 1, bytes((203, 0, 113, 9)), 9000),
        ("cdn.example.org", 1, bytes((203, 0, 113, 10)), 60),
    )
    decision = told(steered(core), message)
    sandbox = bytes((10, 88, 0, 5))
    assert decision.fate is Fate.ACCEPT
    assert decision.bindings == (
        NameBinding(sandbox, bytes((203, 0, 113, 9)), "pypi.org", 600.0),
        NameBinding(sandbox, bytes((203, 0, 113, 10)), "pypi.org", 600.0),
    )


def test_a_long_answer_binds_for_its_time_and_a_day_at_most(core: Pack) -> None:
    """The time to live is the binding's, within bounds."""
    for ttl, seconds in ((3600, 3600.0), (10**9, 86_400.0)):
        message = answer("pypi.org", ("pypi.org", 1, bytes(4), ttl))
        assert [one.seconds for one in told(steered(core), message).bindings] == [seconds]


@pytest.mark.parametrize(
    ("message", "resolver"),
    [
        (answer("pypi.org", ("pypi.org", 1, bytes(4), 60)), OUTSIDE),
        (answer("evil.example", ("evil.example", 1, bytes(4), 60)), RESOLVER),
        (answer("pypi.org")[:20], RESOLVER),
    ],
    ids=["another-server", "untrusted-name", "cut"],
)
def test_other_answers_bind_nothing(core: Pack, message: bytes, resolver: str) -> None:
    """Only a resolver of the site's, on a trusted name."""
    assert told(steered(core), message, resolver).bindings == ()


def test_an_answer_over_tcp_binds_too(core: Pack) -> None:
    """However it is cut, before its last byte is delivered; and after more than is inspected."""
    pipeline = steered(core)
    connection = Connection(dst=RESOLVER, dport=53)
    whole = over_tcp(answer("pypi.org", ("pypi.org", 1, bytes((203, 0, 113, 9)), 60)))
    found: list[Decision] = []
    for _ in range(500):
        question = over_tcp(dns_query("pypi.org"))
        found.append(pipeline.packet(connection.client(question), 1.0))
        found += [
            pipeline.packet(connection.server(part), 1.0) for part in (whole[:20], whole[20:])
        ]
    bound = [one.bindings for one in found]
    assert bound == [(), (), (NameBinding(BOUND[0], BOUND[1], "pypi.org", 600.0),)] * 500
    assert {one.fate for one in found} == {Fate.ACCEPT, Fate.REARM}


@pytest.mark.parametrize("dst", [OUTSIDE, RESOLVER])
def test_only_a_resolver_binds_over_tcp(core: Pack, dst: str) -> None:
    """Another server's answers bind nothing, and its flows end up with the kernel."""
    pipeline = steered(core)
    connection = Connection(dst=dst, dport=53)
    whole = over_tcp(answer("pypi.org", ("pypi.org", 1, bytes(4), 60)))
    found = [pipeline.packet(connection.client(over_tcp(dns_query("pypi.org"))), 1.0)]
    found += [pipeline.packet(connection.server(whole), 1.0) for _ in range(500)]
    assert any(one.bindings for one in found) is (dst == RESOLVER)
    assert any(one.fate is Fate.CLEAR for one in found) is (dst != RESOLVER)


def test_an_address_of_the_other_family_is_everybodys(core: Pack) -> None:
    """Who asks over IPv4 has an IPv6 address that nobody knows yet."""
    message = answer("pypi.org", ("pypi.org", 28, bytes(15) + b"\1", 60))
    [binding] = told(steered(core), message).bindings
    assert binding == NameBinding(bytes(16), bytes(15) + b"\1", "pypi.org", 600.0)


def test_bindings_of_one_answer_are_bounded(core: Pack) -> None:
    """An answer of hundreds of addresses binds some."""
    records = (("pypi.org", 1, struct.pack(">I", n), 60) for n in range(400))
    assert len(told(steered(core), answer("pypi.org", *records)).bindings) == 64


def test_bindings_of_one_packet_are_bounded(core: Pack) -> None:
    """A segment of 64 KiB brings hundreds of answers; what was told before counts but once."""
    pipeline = steered(core)
    connection = Connection(dst=RESOLVER, dport=53)
    messages = [
        answer("pypi.org", *(("pypi.org", 1, bytes((203, 0, n, m)), 60) for m in range(4)))
        for n in range(140)
    ]
    pipeline.packet(connection.client(over_tcp(dns_query("pypi.org"))), 1.0)
    repeated = pipeline.packet(connection.server(over_tcp(*messages[:1] * 140)), 1.0)
    assert len(repeated.bindings) == 4
    many = pipeline.packet(connection.server(over_tcp(*messages)), 1.0)
    assert len(set(many.bindings)) == len(many.bindings) == MAX_PACKET_BINDINGS


KEY = b"\0\5\0\x0a\0\x08\xfe\x0d\0\4key1"
KEYED = over_tcp(
    answer("pypi.org", ("pypi.org", 65, b"\0\1\0" + KEY, 60), ("pypi.org", 1, bytes(4), 60))
)


@pytest.mark.parametrize("enforcing", [True, False])
def test_answers_over_tcp_pass_in_order(core: Pack, *, enforcing: bool) -> None:
    """What overtook others comes again when they are there; all is bound, and has no keys."""
    pipeline = steered(core, enforcing=enforcing)
    connection = Connection(dst=RESOLVER, dport=53)
    pipeline.packet(connection.client(over_tcp(dns_query("pypi.org"))), 1.0)
    stream, bound = KEYED * 3, 0
    for begin, end, early in (
        (0, 50, False),
        (len(KEYED) + 9, len(stream), True),
        (50, len(KEYED) + 9, False),
        (len(KEYED) + 9, len(stream), False),
        (0, len(KEYED), False),
    ):
        decision = pipeline.packet(connection.server(stream[begin:end], begin), 1.0)
        bound += len(decision.bindings)
        assert (decision.fate is Fate.DROP) is (early and enforcing)
        keyless = decision.replacement is not None and KEY not in decision.replacement
        assert keyless is (enforcing and not early and KEY in stream[begin:end])
    assert bound > 0
    assert pipeline.stats.refused == enforcing


def test_an_older_connections_answers_are_its_own(core: Pack) -> None:
    """Ports are used again: half an answer from before keeps nothing of the next from passing."""
    pipeline = steered(core)
    old = Connection(dst=RESOLVER, dport=53)
    new = Connection(dst=RESOLVER, dport=53, isn=2**30, peer_isn=2**30)
    for each in (old, new):
        pipeline.packet(each.client(over_tcp(dns_query("pypi.org"))), 1.0)
        for begin, end in ((0, 50), (50, len(KEYED) + 9)):
            decision = pipeline.packet(each.server((KEYED * 2)[begin:end], begin), 1.0)
            assert decision.fate is not Fate.DROP
    for each in (old, new, old, new):
        decision = pipeline.packet(each.server(KEYED[9:], len(KEYED) + 9), 1.0)
        assert decision.fate is not Fate.DROP
        assert decision.replacement is not None
        assert KEY not in decision.replacement


def test_behind_what_was_not_captured_answers_pass(core: Pack) -> None:
    """The rest of a cut packet is unknown: its bytes are waited for in vain."""
    pipeline = steered(core)
    connection = Connection(dst=RESOLVER, dport=53)
    pipeline.packet(connection.client(over_tcp(dns_query("pypi.org"))), 1.0)
    assert pipeline.packet(connection.server(KEYED)[:-40], 1.0).fate is not Fate.DROP
    decision = pipeline.packet(connection.server(KEYED), 1.0)
    assert decision.fate is not Fate.DROP
    assert decision.replacement is not None
    assert KEY not in decision.replacement


BOUND = (bytes((10, 88, 0, 5)), bytes((203, 0, 113, 9)), "pypi.org")


@pytest.mark.parametrize(
    ("name", "port", "dst", "reason"),
    [
        ("pypi.org", 443, OUTSIDE, ""),
        ("PYPI.ORG", 8443, OUTSIDE, ""),
        ("files.pypi.org", 443, OUTSIDE, "fronting"),
        ("evil.example", 443, OUTSIDE, "fronting"),
        ("pypi.org", 443, "203.0.113.10", "fronting"),
        ("evil.example", 8443, OUTSIDE, "TLS on port 8443"),
        ("evil.example", 8443, "203.0.113.200", ""),
    ],
)
@pytest.mark.parametrize("size", [50, 1000], ids=["cut", "whole"])
def test_a_hello_must_ask_for_the_name_that_was_bound(
    core: Pack, name: str, port: int, dst: str, reason: str, size: int
) -> None:
    """All other TLS is refused before its ClientHello is delivered, and diverted."""
    pipeline = steered(core, BOUND)
    connection = Connection(dst=dst, dport=port)
    hello = client_hello(name, record=40)
    decisions = [
        pipeline.packet(connection.client(hello[at : at + size]), 1.0)
        for at in range(0, len(hello), size)
    ]
    if not reason:
        assert Fate.DROP not in {one.fate for one in decisions}
        # Where nobody is led to the proxies, nobody was found to be trusted.
        known = Fate.TRUST if dst == OUTSIDE else Fate.CLEAR
        assert known in {one.fate for one in decisions}
        return
    last = next(one for one in decisions if one.fate is Fate.DROP)
    assert last.diversion is not None
    assert last.diversion.resp_port == port
    assert last.diversion.event.diversion.startswith(reason)
    assert len(last.resets) == 2
    assert last.block is None
    again = pipeline.packet(connection.client(b"more"), 2.0)
    assert again.fate is Fate.DROP
    assert again.diversion is None


def test_within_a_tunnel_a_trusted_name_vouches_for_nobody(core: Pack) -> None:
    """Whom a proxy connects to is another matter: what follows may yet begin like a request."""
    pipeline = steered(core, BOUND)
    connection = Connection(dst=OUTSIDE, dport=443)
    fates = [
        pipeline.packet(connection.client(b"CONNECT pool.example:3333 HTTP/1.1\r\n\r\n"), 1.0),
        pipeline.packet(connection.server(b"HTTP/1.1 200 OK\r\n\r\n"), 1.0),
        pipeline.packet(connection.client(client_hello("pypi.org")), 1.0),
    ]
    assert [one.fate for one in fates] == [Fate.ACCEPT, Fate.ACCEPT, Fate.CLEAR]


def test_over_ipv6_too(core: Pack) -> None:
    """A hello without any name, in one packet."""
    decision = steered(core).packet(
        Connection(SANDBOX6, OUTSIDE6, dport=993).client(client_hello("x")), 1.0
    )
    assert decision.fate is Fate.DROP
    assert decision.diversion is not None


def test_what_comes_from_outside_is_nobodys_to_divert(core: Pack) -> None:
    """A sandbox that serves TLS to others goes on doing so."""
    inbound = Connection(src=OUTSIDE, dst=SANDBOX, dport=8443)
    assert steered(core).packet(inbound.client(client_hello("x")), 1.0).diversion is None


def test_mining_is_blocked_and_not_merely_diverted(core: Pack) -> None:
    """A pool's name in the hello is worse than being on the wrong road."""
    decision = steered(core).packet(Connection(dport=443).client(client_hello(POOL_NAME)), 1.0)
    assert decision.alerts[0].verdict.action is Action.REJECT
    assert decision.diversion is None
    plain = steered(core).packet(Connection().client(LOGIN), 1.0)
    assert plain.block is not None


def test_who_only_observes_diverts_nothing(core: Pack) -> None:
    """Names are bound all the same: they decide who is led to the proxies."""
    pipeline = steered(core, enforcing=False)
    assert pipeline.packet(Connection(dport=443).client(client_hello("x")), 1.0).fate is Fate.CLEAR
    assert told(pipeline, answer("pypi.org", ("pypi.org", 1, bytes(4), 60))).bindings


def test_a_trace_is_never_steered(core: Pack) -> None:
    """Replay has no kernel to lead anybody anywhere."""
    pipeline = Pipeline(core, Policy(), vantage=Vantage.TRACE)
    decision = pipeline.packet(Connection(dport=443).client(client_hello("x")), 1.0)
    assert decision.fate is Fate.ACCEPT
