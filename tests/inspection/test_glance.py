"""A glance is no second opinion: what it settles, an inspector settles, and finds nothing.

Bytes are made of what heads and hellos are made of, ordinary and not, and then damaged; the packs
are the core one and one that asks everything that may be asked of first bytes.
"""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.inspection.test_tlsserver import pack_of
from tests.streams import client_hello, core_pack

from davylamp.flow import Direction
from davylamp.inspection.finding import AppProto
from davylamp.inspection.glance import settled_as
from davylamp.inspection.inspector import Inspector
from davylamp.inspection.wire.tls import ClientHello
from davylamp.signatures.pack import Pack

CORE = core_pack()
ASKING = pack_of(
    a="{http: {path: [/toy, /long/*], method: GET}}",
    b="{http: {host: '*.pool.test', headers: {x-rig: any}}}",
    c="{http: {headers: {user-agent: {$starts_with: [toyminer/]}}}}",
    d="{tls: {sni: ['*.pool.test', toy.test]}}",
    e="{tls: {alpn: [toy/1]}}",
    f="{bytes: {from: client, starts_with: 'HEAD /begun'}}",
    g="{all_of: [{http: {path: /part}}, {tls: {sni: part.test}}]}",
    h="{all_of: [{line: {starts_with: toys}}, {flights: {sizes: ['client:1-900', 'server:2']}}]}",
)
CERTIFIED = pack_of(a="{certificate: {name: pool.test}}")
PACKS = (CORE, ASKING, CERTIFIED)

GET = b"GET /simple/torch/ HTTP/1.1\r\nHost: pypi.org\r\nUser-Agent: pip/24\r\n\r\n"
ADDRESS = b"dero1" + b"q" * 60
HOSTS = [b"pypi.org", b"pypi.org:8080", b"PyPI.org.", b"[2001:db8::1]:80", b"u@pypi.org", b""]
HOSTS += [b"gulf.moneroocean.stream", b"xmr.2miners.com", b"a.pool.test", b"part.test", b"a,b"]
TARGETS = [b"/", b"/simple/torch/?a=b", b"*", b"/a b", b"http://pypi.org/", b"/toy", b"/long/er"]
TARGETS += [
    b"/begun",
    b"/part",
    b"/miner/header",
    b"/ws/" + ADDRESS,
    b"/farmer?launcher_id=" + b"a" * 64,
]
FIELDS = [
    b"User-Agent: pip/24",
    b"user-agent: XMRig/6.21.0 (Linux x86_64)",
    b"User-Agent:\tXMRig/6",
]
FIELDS += [
    b"User-Agent:",
    b"User-Agent: toyminer/1",
    b"User-Agent-Hint: a",
    b"User-Agent : xmrig/6",
]
FIELDS += [
    b"X-Stratum: stratum+tcp://a:1",
    b"x-rig: 1",
    b"X-Mining-Extensions : midstate",
    b"Accept: */*",
]
FIELDS += [
    b"Accept: application/dns-message",
    b"Content-Type: application/dns-json",
    b"Host: b.example",
]
FIELDS += [
    b"Content-Length: 0",
    b"Content-Length: 5",
    b"Transfer-Encoding: chunked",
    b"Upgrade: websocket",
]
FIELDS += [
    b"Upgrade-Insecure-Requests: 1",
    b' {"id":1,"method":"mining.subscribe","params":[]}',
    b" folded",
]
FIELDS += [
    b'{"id":1,"method":"mining.subscribe","params":[]}',
    b"no colon",
    b"hosted: a",
    b"X: [{}]",
    b"",
]

ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n"])
DAMAGE = st.sampled_from([b"", b"\r", b"\n", b" ", b"\t", b"\0", b"{", b"\xff", b"GET "])


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """Return a request's head, or nearly."""
    method = draw(st.sampled_from([b"GET", b"GET", b"GET", b"HEAD", b"POST", b"CONNECT", b"PRI"]))
    version = draw(
        st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"http/1.1", b"HTTP/2.0"])
    )
    fields = [b"Host: " + draw(st.sampled_from(HOSTS))]
    fields += draw(st.lists(st.sampled_from(FIELDS), max_size=4))
    lines = [
        b" ".join((method, draw(st.sampled_from(TARGETS)), version)),
        *draw(st.permutations(fields)),
    ]
    return b"".join(line + draw(ENDS) for line in (*lines, b"")) + draw(
        st.sampled_from([b"", b"", GET])
    )


@st.composite
def hellos(draw: st.DrawFn) -> bytes:
    """Return a ClientHello, whole, in several records, or with something behind it."""
    name = draw(st.sampled_from(HOSTS)).decode() or "toy.test"
    record = draw(st.sampled_from([1 << 14, 1 << 14, 40]))
    return client_hello(name, record=record) + draw(
        st.sampled_from([b"", b"", b"\x14\x03\x03\0\1\1"])
    )


@st.composite
def openings(draw: st.DrawFn) -> bytes:
    """Return first bytes, sometimes cut short or with something else in one place."""
    data = draw(st.one_of(heads(), heads(), hellos()))
    if draw(st.booleans()):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(DAMAGE) + data[at + draw(st.integers(0, 3)) :]
    return (
        data[: draw(st.integers(1, len(data)))] if data and draw(st.integers(0, 5)) == 0 else data
    )


def agrees(pack: Pack, data: bytes) -> AppProto | None:
    """Hold a glance to an inspector; return what it said the flow is."""
    settled = settled_as(pack, data)
    seen = AppProto.TLS if isinstance(settled, ClientHello) else settled
    if seen is not None:
        inspector = Inspector(pack)
        assert inspector.receive(Direction.ORIGINATOR, data, 0.0) == ()
        assert inspector.settled
        assert not inspector.partial
        assert inspector.app_proto is seen
        assert inspector.hello == (settled if seen is AppProto.TLS else None)
        assert inspector.http_body_left == (0 if seen is AppProto.HTTP else None)
    return seen


@given(data=openings().filter(bool))
@example(data=GET)
@example(data=client_hello("pypi.org"))
def test_a_glance_is_an_abbreviation(data: bytes) -> None:
    """Whatever it settles an inspector settles as well, as the same, and finds nothing."""
    for pack in PACKS:
        agrees(pack, data)


@pytest.mark.parametrize("pack", [CORE, ASKING], ids=["core", "asking"])
@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (GET, AppProto.HTTP),
        (client_hello("pypi.org"), AppProto.TLS),
        (client_hello("pypi.org") + b"\x14\x03\x03\0\1\1", AppProto.TLS),
    ],
)
def test_the_commonest_beginnings_are_settled(pack: Pack, data: bytes, seen: AppProto) -> None:
    """Or the glance would be worth nothing."""
    assert agrees(pack, data) is seen


@pytest.mark.parametrize(
    ("pack", "data"),
    [
        (CORE, GET.replace(b"pypi.org", b"gulf.moneroocean.stream")),
        (CORE, GET.replace(b"pip/24", b"XMRig/6.21.0")),
        (CORE, GET.replace(b"/simple/torch/", b"/miner/header")),
        (CORE, GET.replace(b"User-Agent", b"X-Stratum")),
        (CORE, client_hello("gulf.moneroocean.stream")),
        (CORE, client_hello("pypi.org", record=40)),
        (ASKING, GET.replace(b"/simple/torch/", b"/toy")),
        (ASKING, GET.replace(b"/simple/torch/", b"/part")),
        (ASKING, GET.replace(b"GET /simple/torch/", b"HEAD /begun")),
        (ASKING, GET.replace(b"pip/24", b"toyminer/1")),
        (ASKING, client_hello("toy.test")),
        (ASKING, client_hello("part.test")),
        (CERTIFIED, client_hello("pypi.org")),
    ],
)
def test_what_may_tell_is_left_to_an_inspector(pack: Pack, data: bytes) -> None:
    """Each kind of condition on first bytes, parts of combinations included."""
    assert settled_as(pack, data) is None


def test_a_hello_is_given_as_it_was_read() -> None:
    """Where names given out are bound, who steers need not read it again."""
    hello = settled_as(CORE, client_hello("pypi.org"))
    assert isinstance(hello, ClientHello)
    assert hello.server_names == ("pypi.org",)
