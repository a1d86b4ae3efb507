"""The Inspector as a table: each conversation whole, byte by byte, and cut at every place."""

import gzip
import itertools
import re
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.streams import (
    AUTHORIZE,
    GET,
    JOB,
    LOGIN,
    NOTIFY,
    POOL_NAME,
    RESPONSE,
    RPC,
    SSH_CLIENT,
    SSH_SERVER,
    SUBMIT,
    SUBSCRIBE,
    client_hello,
    core_pack,
    dns_alias,
    dns_query,
    over_tcp,
    post,
    quoted,
    response,
)

from davylamp.flow import Direction
from davylamp.inspection import http
from davylamp.inspection.finding import AppProto, Finding
from davylamp.inspection.httphead import NO_FIELD
from davylamp.inspection.inspector import InspectionLimits, Inspector
from davylamp.signatures.pack import Pack

C, S = Direction.ORIGINATOR, Direction.RESPONDER
MAX_CUTS = 200  # cutting everywhere is quadratic; longer streams are cut at even distances

type Conversation = list[tuple[Direction, bytes]]

POST = post(b'{"id":1,"method":"eth_blockNumber","params":[]}')
UPGRADE = b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: raw\r\nConnection: Upgrade\r\n\r\n"
CONNECT = b"CONNECT pool.example:3333 HTTP/1.1\r\nHost: pool.example:3333\r\n\r\n"
CONNECTED = b"HTTP/1.1 200 Connection established\r\n\r\n"
MINING_BODY = SUBSCRIBE.strip()

# name, conversation, ids of signatures found, protocol, settled
CASES: list[tuple[str, Conversation, list[str], AppProto, bool]] = [
    # --- mining, from either side, from the start or joined later ---
    (
        "Stratum: subscribe and authorize in one piece",
        [(C, SUBSCRIBE + AUTHORIZE)],
        ["stratum-v1-subscribe", "stratum-v1-authorize"],
        AppProto.JSON,
        False,
    ),
    (
        "Stratum: the pool's notify alone",
        [(S, NOTIFY)],
        ["stratum-v1-notify"],
        AppProto.JSON,
        False,
    ),
    ("CryptoNote: login", [(C, LOGIN)], ["cryptonote-login"], AppProto.JSON, False),
    (
        "CryptoNote: joined midstream by the pool's job, then a share",
        [(S, JOB), (C, SUBMIT)],
        ["cryptonote-job", "cryptonote-submit"],
        AppProto.JSON,
        False,
    ),
    (
        "CryptoNote: joined in the middle of a line",
        [(C, LOGIN[40:] + SUBMIT)],
        ["cryptonote-submit"],
        AppProto.JSON,
        False,
    ),
    (
        "mining behind lines of text",
        [(C, b"hello\n\n" + LOGIN)],
        ["cryptonote-login"],
        AppProto.JSON,
        False,
    ),
    (
        "mining behind white space",
        [(C, b" \t\r\n" + LOGIN)],
        ["cryptonote-login"],
        AppProto.JSON,
        False,
    ),
    (
        "mining without its newline",
        [(C, LOGIN.rstrip())],
        ["cryptonote-login"],
        AppProto.JSON,
        False,
    ),
    # --- mining in HTTP, and behind it ---
    (
        "POST with a mining body",
        [(C, post(MINING_BODY))],
        ["stratum-v1-subscribe"],
        AppProto.HTTP,
        True,
    ),
    (
        "POST with a chunked mining body",
        [(C, post(MINING_BODY, chunked=True))],
        ["stratum-v1-subscribe"],
        AppProto.HTTP,
        True,
    ),
    (
        "keep-alive: mining in the third request",
        [(C, GET), (S, RESPONSE), (C, POST), (S, response(b"{}")), (C, post(MINING_BODY))],
        ["stratum-v1-subscribe"],
        AppProto.HTTP,
        True,
    ),
    (
        "HTTP, then Stratum on the same connection",
        [(C, GET), (S, RESPONSE), (C, SUBSCRIBE), (S, NOTIFY)],
        ["stratum-v1-subscribe", "stratum-v1-notify"],
        AppProto.HTTP,
        False,
    ),
    (
        "101, then Stratum both ways",
        [(C, UPGRADE), (S, SWITCHING), (C, SUBSCRIBE), (S, NOTIFY)],
        ["stratum-v1-subscribe", "stratum-v1-notify"],
        AppProto.HTTP,
        False,
    ),
    (
        "CONNECT, then Stratum both ways",
        [(C, CONNECT), (S, CONNECTED), (C, SUBSCRIBE), (S, NOTIFY)],
        ["stratum-v1-subscribe", "stratum-v1-notify"],
        AppProto.HTTP,
        False,
    ),
    (
        "CONNECT, then a pool's name in TLS",
        [(C, CONNECT), (S, CONNECTED), (C, client_hello(POOL_NAME))],
        ["pool-name-tls-sni"],
        AppProto.TLS,
        True,
    ),
    (
        "CONNECT, then HTTP with a document that quotes Stratum",
        [(C, CONNECT), (S, CONNECTED), (C, post(b"# Stratum\n\n" + LOGIN)), (S, RESPONSE)],
        [],
        AppProto.HTTP,
        True,
    ),
    (
        "a job in a response",
        [(C, GET), (S, response(JOB))],
        ["cryptonote-job"],
        AppProto.HTTP,
        True,
    ),
    (
        "lines of Stratum in an endless head",
        [(C, b"POST / HTTP/1.1\r\nHost: x\r\n" + SUBSCRIBE + AUTHORIZE)],
        ["stratum-v1-subscribe", "stratum-v1-authorize"],
        AppProto.JSON,
        False,
    ),
    (
        "lines of Stratum among a request's fields",
        [(C, b"GET / HTTP/1.1\r\nHost: x\r\n " + SUBSCRIBE + b"\r\n" + AUTHORIZE)],
        ["stratum-v1-subscribe", "stratum-v1-authorize"],
        AppProto.JSON,
        False,
    ),
    (
        "a job among a response's fields",
        [(C, GET), (S, b"HTTP/1.1 200 OK\r\nServer: x\r\n" + JOB + b"\r\n")],
        ["cryptonote-job"],
        AppProto.HTTP,
        True,
    ),
    # --- names ---
    ("TLS to a pool", [(C, client_hello(POOL_NAME))], ["pool-name-tls-sni"], AppProto.TLS, True),
    (
        "TLS to a pool, the name split over records",
        [(C, client_hello(POOL_NAME, record=7))],
        ["pool-name-tls-sni"],
        AppProto.TLS,
        True,
    ),
    ("TLS elsewhere", [(C, client_hello("pypi.org"))], [], AppProto.TLS, True),
    (
        "DNS over TCP: a pool asked for",
        [(C, over_tcp(dns_query("pypi.org"), dns_query(POOL_NAME)))],
        ["pool-name-dns-query"],
        AppProto.DNS,
        False,
    ),
    (
        "DNS over TCP: a pool behind an alias",
        [(S, over_tcp(dns_alias("cdn.example.com", POOL_NAME)))],
        ["pool-name-dns-query"],
        AppProto.DNS,
        False,
    ),
    (
        "what begins like DNS and is not, then mining",
        [(C, b"\x00\x40\0\7\1\0\0\1\0\0\0\0\0\0" + b"\xff" * 52 + b"\n" + LOGIN)],
        ["cryptonote-login"],
        AppProto.JSON,
        False,
    ),
    # --- SSH ---
    ("SSH", [(S, SSH_SERVER), (C, SSH_CLIENT)], ["ssh-banner-unexpected"], AppProto.SSH, True),
    # --- what must stay silent ---
    ("GET", [(C, GET)], [], AppProto.HTTP, True),
    ("POST of ordinary JSON-RPC", [(C, POST)], [], AppProto.HTTP, True),
    ("keep-alive", [(C, GET), (S, RESPONSE), (C, GET), (S, RESPONSE)], [], AppProto.HTTP, True),
    ("a line of ordinary JSON-RPC", [(C, RPC), (S, RPC)], [], AppProto.JSON, False),
    (
        "Stratum quoted in a string",
        [(C, quoted(SUBSCRIBE)), (C, quoted(JOB))],
        [],
        AppProto.JSON,
        False,
    ),
    ("Stratum quoted in a log line", [(C, b"12:00 sent " + LOGIN)], [], AppProto.UNKNOWN, False),
    ("Stratum quoted in a body", [(C, post(quoted(LOGIN)))], [], AppProto.HTTP, True),
    (
        "a document of Stratum lines",
        [(C, post(b"# Stratum\n\n" + LOGIN + JOB))],
        [],
        AppProto.HTTP,
        True,
    ),
    (
        "Stratum nested in a JSON value",
        [(C, b'{"log":[' + SUBSCRIBE.strip() + b"]}\n")],
        [],
        AppProto.JSON,
        False,
    ),
    (
        "LSP frames",
        [(C, b"Content-Length: %d\r\n\r\n%b" % (len(RPC), RPC.strip()))],
        [],
        AppProto.JSON,
        False,
    ),
    (
        "Electrum",
        [(C, b'{"id":0,"method":"server.version","params":["x","1.4"]}\n')],
        [],
        AppProto.JSON,
        False,
    ),
    ("binary", [(C, bytes(range(256)) * 4)], [], AppProto.UNKNOWN, False),
]


def feedings(conversation: Conversation) -> Iterator[tuple[str, Conversation]]:
    """Yield the conversation whole, byte by byte, and cut in two at every place."""
    yield "whole", conversation
    by_byte = [(way, data[at : at + 1]) for way, data in conversation for at in range(len(data))]
    yield "byte by byte", by_byte
    step = len(by_byte) // MAX_CUTS + 1
    for turn, (way, data) in enumerate(conversation):
        for cut in range(1, len(data), step):
            pieces = [(way, data[:cut]), (way, data[cut:])]
            yield (
                f"turn {turn} cut at {cut}",
                [*conversation[:turn], *pieces, *conversation[turn + 1 :]],
            )


def feed(inspector: Inspector, conversation: Conversation) -> list[Finding]:
    """Feed everything; return all that was found."""
    return [finding for way, data in conversation for finding in inspector.receive(way, data, 0.0)]


@pytest.mark.parametrize(
    ("conversation", "expected", "app_proto", "settled"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_a_conversation_is_judged_alike_however_it_is_cut(
    core: Pack,
    conversation: Conversation,
    expected: list[str],
    app_proto: AppProto,
    settled: bool,
) -> None:
    """Findings, their evidence, protocol and standing do not depend on segment boundaries."""
    whole = feed(Inspector(core), conversation)
    # A message may have the shape of more than one signature, but none where none is expected.
    assert set(expected) <= {finding.signature.id for finding in whole}
    assert bool(expected) == bool(whole)
    sent = {way: b"".join(data for one, data in conversation if one is way) for way in (C, S)}
    for word, feeding in feedings(conversation):
        inspector = Inspector(core)
        found = feed(inspector, feeding)
        assert inspector.app_proto is app_proto, word
        assert inspector.settled is settled, word
        assert [(f.signature.id, f.offset, f.excerpt, f.layers) for f in found] == [
            (f.signature.id, f.offset, f.excerpt, f.layers) for f in whole
        ], word
        for finding in found:
            if finding.signature.id.startswith(("stratum", "cryptonote")):
                evidence = sent[finding.direction][finding.offset : finding.end]
                assert evidence.startswith(finding.excerpt) or AppProto.HTTP in finding.layers


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (b"User-Agent:\r\n XMRig/6.21.0\r\n", "http-miner-agent"),
        (b"User-Agent: \n\tXMRig/6.21.0\r\n", "http-miner-agent"),
        (b" User-Agent: XMRig/6.21.0\r\n", "http-miner-agent"),
        (b"\tX-Stratum: a:3333\r\n", "http-mining-field"),
        (b"Accept:\r\n application/dns-message\r\n", "doh-message"),
    ],
)
def test_a_folded_field_tells_what_a_whole_one_does(core: Pack, fields: bytes, told: str) -> None:
    """Receivers join such lines, or take an indented first one for a field (RFC 9112 5.2)."""
    head = b"GET / HTTP/1.1\r\n" + fields + b"Host: a\r\n\r\n"
    assert [one.signature.id for one in Inspector(core).receive(C, head, 0.0)] == [told]


@pytest.mark.parametrize("before", [0, 300])
def test_a_coding_is_obeyed_behind_many_fields(core: Pack, before: int) -> None:
    """A compressed login is found however many fields its head has."""
    body = gzip.compress(LOGIN)
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n" % len(body)
    message = head + b"x: y\r\n" * before + b"Content-Encoding: gzip\r\n\r\n" + body
    [finding] = Inspector(core).receive(C, message, 0.0)
    assert finding.signature.id == "cryptonote-login"


class _Counting:
    """A pattern that counts the bytes that it is asked to look at."""

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self._pattern = pattern
        self.bytes = 0

    def search(self, data: bytes) -> re.Match[bytes] | None:
        """Search, and count."""
        self.bytes += len(data)
        return self._pattern.search(data)


@pytest.mark.parametrize("line", [b"X: " + b"a" * 8000, b" " * 8000, b"a: b\r\n" * 1300])
def test_a_head_that_comes_byte_by_byte_is_searched_once(
    core: Pack, monkeypatch: pytest.MonkeyPatch, line: bytes
) -> None:
    """What was searched is not searched again with each segment; what follows is found."""
    counting = _Counting(NO_FIELD)
    monkeypatch.setattr(http, "NO_FIELD", counting)
    head = b"POST / HTTP/1.1\r\nHost: a\r\n" + line
    inspector = Inspector(core)
    for at in range(len(head)):
        assert inspector.receive(C, head[at : at + 1], 0.0) == ()
    assert counting.bytes <= len(head)
    [finding] = inspector.receive(C, b"\r\n \t" + LOGIN, 0.0)
    assert finding.signature.id == "cryptonote-login"


@settings(max_examples=200, deadline=None)
@given(
    pieces=st.lists(st.sampled_from([b"\r\n", b"\n", b" ", b"\t", b"X: y", b"\r\n \t", b"Y:"])),
    cuts=st.lists(st.integers(1, 200), max_size=8),
)
def test_a_line_among_fields_is_found_however_it_is_cut(
    core: Pack, pieces: list[bytes], cuts: list[int]
) -> None:
    """Blanks before a message, and segments that end among them, make no difference."""
    text = b"POST / HTTP/1.1\r\nX: y" + b"".join(pieces) + LOGIN
    whole = feed(Inspector(core), [(C, text)])
    edges = [0, *sorted({cut for cut in cuts if cut < len(text)}), len(text)]
    parts = [(C, text[a:b]) for a, b in itertools.pairwise(edges)]
    found = feed(Inspector(core), parts)
    assert [(f.signature.id, f.offset, f.layers) for f in found] == [
        (f.signature.id, f.offset, f.layers) for f in whole
    ]


@pytest.mark.parametrize("wrap", [bytes, post])
@pytest.mark.parametrize("blank", [b"\x0b", b"\x0c", b"\r\x0c\x0b "])
def test_what_receivers_strip_hides_nothing(
    core: Pack, wrap: Callable[[bytes], bytes], blank: bytes
) -> None:
    """JSON knows no form feed; a receiver that strips what it reads has thrown it away."""
    data = wrap(blank + LOGIN.rstrip() + blank + b"\n")
    for how, conversation in feedings([(C, data)]):
        found = {one.signature.id for one in feed(Inspector(core), conversation)}
        assert found == {one.signature.id for one in feed(Inspector(core), [(C, LOGIN)])}, how


def test_evidence_is_complete_with_the_byte_that_closes_the_message(core: Pack) -> None:
    """The finding comes with the last bracket, before the newline, and not a byte earlier."""
    inspector = Inspector(core)
    assert inspector.receive(C, LOGIN[:-2], 0.0) == ()
    assert inspector.partial
    assert inspector.half_json
    found = inspector.receive(C, LOGIN[-2:-1], 0.0)[0]
    assert (found.offset, found.end) == (0, len(LOGIN) - 1)
    assert not inspector.partial


def test_a_gap_forgets_half_a_message_and_counts_its_bytes(core: Pack) -> None:
    """What follows lost bytes is read anew, at its true offset."""
    inspector = Inspector(core)
    inspector.receive(C, LOGIN[:50], 0.0)
    inspector.gap(C, 950)
    assert not inspector.partial
    found = inspector.receive(C, SUBMIT, 0.0)[0]
    assert found.offset == 1000


def test_a_rewind_reads_one_direction_again(core: Pack) -> None:
    """Bytes from before the first ones are read with them; the other direction keeps its half."""
    inspector = Inspector(core)
    inspector.receive(S, JOB[:30], 0.0)
    inspector.receive(C, LOGIN[20:], 0.0)
    inspector.rewind(C, 0)
    assert "cryptonote-login" in {f.signature.id for f in inspector.receive(C, LOGIN, 0.0)}
    assert "cryptonote-job" in {f.signature.id for f in inspector.receive(S, JOB[30:], 0.0)}


def test_opaque_bytes_settle_at_the_depth_and_not_before(core: Pack) -> None:
    """A protocol that nobody knows is looked at for as many bytes as the depth says."""
    inspector = Inspector(core, InspectionLimits(depth=1000))
    inspector.receive(S, b"\x80" * 999, 0.0)
    assert not inspector.settled
    inspector.receive(S, b"\x80", 0.0)
    assert inspector.settled


def test_half_a_message_keeps_a_flow_past_the_depth(core: Pack) -> None:
    """A line that began within the depth is waited for, so that padding hides nothing."""
    inspector = Inspector(core, InspectionLimits(depth=1000))
    padded = LOGIN.replace(b'{"id"', b"{" + b" " * 50_000 + b'"id"')
    for at in range(0, len(padded) - 1, 1448):
        piece = padded[at : at + 1448]
        found = inspector.receive(C, piece, 0.0)
        assert found or not inspector.settled
    assert "cryptonote-login" in {f.signature.id for f in found}


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
HEADS = (GET, POST, UPGRADE, SWITCHING, CONNECT, CONNECTED, RESPONSE, CHUNKED, b"0\r\n", b"\r\n")
PLAIN = (*HEADS, LOGIN, JOB, SSH_CLIENT, b'"', b"Host: x\r\n")
HOSTILE = st.sampled_from(
    [*PLAIN, client_hello(POOL_NAME), over_tcp(dns_query(POOL_NAME)), b"{" * 40, b"\0\x20"]
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([C, S]), st.binary(max_size=60) | HOSTILE),
        max_size=12,
    ),
    st.data(),
)
def test_any_mixture_is_judged_alike_whole_and_in_pieces(
    turns: list[tuple[Direction, bytes]], data: st.DataObject
) -> None:
    """Nothing raises, what is found does not depend on the cuts, and what is held is bounded."""
    whole, pieces = Inspector(core_pack()), Inspector(core_pack())
    for way, said in turns:
        cuts = data.draw(st.lists(st.integers(0, len(said)), max_size=4).map(sorted))
        ends = itertools.pairwise([0, *cuts, len(said)])
        one = [f.signature.id for f in whole.receive(way, said, 0.0)]
        two = [f.signature.id for a, b in ends for f in pieces.receive(way, said[a:b], 0.0)]
        assert one == two
        assert whole.settled == pieces.settled
        assert whole.held <= 4 * (128 + 64) * 1024
