"""DNS messages: built by hand, hostile ones, and captured ones."""

import socket
from collections.abc import Callable, Iterator

import dpkt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.effort import calls

from davylamp.inspection.wire.dns import (
    MAX_BINDINGS,
    MAX_CHAIN,
    MAX_QUESTIONS,
    MAX_RECORDS,
    Answer,
    Binding,
    DnsMessage,
    Question,
    RecordType,
    ServiceBinding,
    parse_message,
)
from davylamp.inspection.wire.reader import Malformed

type Splits = Callable[[bytes], Iterator[list[bytes]]]

V4 = bytes((192, 0, 2, 7))
V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::7")
POOL = b"\x04Pool\x07eXample\x00"
TO_POOL = b"\xc0\x0c"


def _header(*counts: int, flags: int = 0x8180) -> bytes:
    four = (*counts, 0, 0, 0)[:4]
    return b"\x12\x34" + flags.to_bytes(2) + b"".join(n.to_bytes(2) for n in four)


def _question(name: bytes = POOL, kind: int = RecordType.A) -> bytes:
    return name + kind.to_bytes(2) + b"\x00\x01"


def _record(name: bytes, kind: int, data: bytes, ttl: int = 60) -> bytes:
    return name + kind.to_bytes(2) + b"\0\1" + ttl.to_bytes(4) + len(data).to_bytes(2) + data


def _parsed(data: bytes) -> DnsMessage:
    message = parse_message(data)
    assert isinstance(message, DnsMessage), message
    return message


ASKED = _header(1, 1) + _question()
CHAIN = (
    _header(1, 3)
    + _question()
    + _record(TO_POOL, RecordType.CNAME, b"\x03cdn" + TO_POOL, ttl=30)
    + _record(b"\x03CDN" + TO_POOL, RecordType.A, V4, ttl=90)
    + _record(b"\x03cdn" + TO_POOL, RecordType.AAAA, V6, ttl=20)
)


def test_query() -> None:
    """A query gives its question, lower-case."""
    message = _parsed(_header(1, flags=0x0100) + _question(kind=RecordType.HTTPS))
    assert message == DnsMessage(
        id=0x1234,
        is_response=False,
        opcode=0,
        rcode=0,
        tc=False,
        truncated=False,
        edns=False,
        questions=(Question("pool.example", RecordType.HTTPS),),
        answers=(),
    )


ANSWERS = [
    ("A", RecordType.A, V4, V4),
    ("AAAA", RecordType.AAAA, V6, V6),
    ("A of a wrong size", RecordType.A, V6, None),
    ("CNAME compressed", RecordType.CNAME, b"\x03cdn" + TO_POOL, "cdn.pool.example"),
    ("CNAME to the root", RecordType.CNAME, b"\x00", ""),
    ("CNAME overrun", RecordType.CNAME, b"\x09cdn", None),
    ("another type", 16, b"\x03txt", None),
    ("SVCB alias", RecordType.SVCB, b"\0\0" + TO_POOL, ServiceBinding(0, "pool.example")),
    (
        "HTTPS with everything",
        RecordType.HTTPS,
        b"\0\1\0"
        b"\0\1\0\6\2h2\2h3"
        b"\0\3\0\2\x0d\x05"
        b"\0\4\0\4" + V4 + b"\0\5\0\3ech" + b"\0\6\0\x10" + V6 + b"\0\xff\0\1x",
        ServiceBinding(1, "", ("h2", "h3"), 3333, ech=True, addresses=(V4, V6)),
    ),
    ("HTTPS cut", RecordType.HTTPS, b"\0\1\0\0\4\0\4\1", None),
]


@pytest.mark.parametrize(
    ("name", "kind", "data", "value"), ANSWERS, ids=[row[0] for row in ANSWERS]
)
def test_answers(name: str, kind: int, data: bytes, value: object) -> None:
    """A record's data is read as its type says, or is None; the message is whole either way."""
    message = _parsed(ASKED + _record(TO_POOL, kind, data))
    assert message.answers == (Answer("pool.example", kind, 60, value),)  # type: ignore[arg-type]
    assert not message.truncated


NAMES = [
    ("case", b"\x01A\x02bC\x00", "a.bc"),
    ("root", b"\x00", ""),
    ("dot in a label", b"\x03a.b\x01c\x00", r"a\.b.c"),
    ("backslash", b"\x02\\a\x00", r"\\a"),
    ("binary", b"\x03\x00\xff \x00", r"\000\255\032"),
    ("underscore and dash", b"\x05_a-b_\x00", "_a-b_"),
    ("longest", (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"b" * 61 + b"\x00", None),
]


@pytest.mark.parametrize(("name", "raw", "text"), NAMES, ids=[row[0] for row in NAMES])
def test_names(name: str, raw: bytes, text: str | None) -> None:
    """Names read unambiguously; 255 bytes are the most."""
    read = _parsed(_header(1) + _question(raw)).questions[0].name
    assert read == text if text is not None else len(read) == 253


MALFORMED = [
    ("empty", b""),
    ("half a header", bytes(11)),
    ("no question where one is announced", _header(1)),
    ("cut question", _header(1) + POOL + b"\x00"),
    ("label type 01", _header(1) + b"\x40a\x00\x00\x01\x00\x01"),
    ("label type 10", _header(1) + b"\x80a\x00\x00\x01\x00\x01"),
    ("pointer to itself", _header(1) + b"\xc0\x0c\x00\x01\x00\x01"),
    ("pointer forwards", _header(1) + b"\xc0\x20\x00\x01\x00\x01" + bytes(40)),
    ("loop of two", _header(1) + b"\x01a\xc0\x0e\xc0\x0c\x00\x01\x00\x01"),
    ("name of 256 bytes", _header(1) + _question(b"\x3f" + b"a" * 63 + b"\x3f" * 192 + b"\x00")),
    ("lines of text", b'{"id":1,"method":"login"}\n'),
]


@pytest.mark.parametrize(("name", "data"), MALFORMED, ids=[row[0] for row in MALFORMED])
def test_malformed(name: str, data: bytes) -> None:
    """What has nothing to read is malformed, and its bytes are handed back."""
    result = parse_message(data)
    assert isinstance(result, Malformed)
    assert result.rest == data


def test_truncation_keeps_what_was_read() -> None:
    """Cut anywhere behind the question, a message keeps its whole records and says so."""
    whole = _parsed(CHAIN)
    assert not whole.truncated
    for cut in range(len(_header(1) + _question()), len(CHAIN)):
        part = _parsed(CHAIN[:cut])
        assert part.truncated
        assert part.questions == whole.questions
        assert part.answers == whole.answers[: len(part.answers)]


def test_flags() -> None:
    """Opcode, TC and an extended response code are read."""
    opt = b"\0" + (41).to_bytes(2) + b"\x04\xd0" + b"\x01\0\0\0" + b"\0\0"
    message = _parsed(_header(1, 0, 0, 1, flags=0xAA03) + _question() + opt)
    assert (message.opcode, message.tc, message.edns) == (5, True, True)
    assert message.rcode == 0x13


def test_counts_are_not_believed() -> None:
    """Claims of 65,535 questions or records cost no more than the message holds."""
    questions = _parsed(_header(0xFFFF) + _question() * 40)
    assert len(questions.questions) == MAX_QUESTIONS
    assert questions.truncated
    records = _parsed(_header(0, 0xFFFF) + _record(b"\0", RecordType.A, V4) * 600)
    assert len(records.answers) == MAX_RECORDS
    assert records.truncated


def _pointer(offset: int) -> bytes:
    return (0xC000 | offset).to_bytes(2)


def _message_of_pointers(hops: int, records: int) -> bytes:
    """Make records whose names each lead through that many pointers, kept in another's data."""
    base = 12 + 11  # behind the header and the first record's fixed part
    chain = b"\x00" + _pointer(base)
    chain += b"".join(_pointer(base + 1 + 2 * n) for n in range(hops - 2))
    name = _pointer(base + 1 + 2 * (hops - 2))
    body = _record(b"\0", 16, chain) + _record(name, RecordType.A, V4) * records
    return _header(0, 1 + records) + body


def test_pointer_chains_are_bounded() -> None:
    """128 pointers are followed for a name, not 129, and not that many for each of 400 names."""
    assert len(_parsed(_message_of_pointers(128, 1)).answers) == 2
    too_deep = _parsed(_message_of_pointers(129, 1))
    assert (len(too_deep.answers), too_deep.truncated) == (1, True)
    many = _parsed(_message_of_pointers(120, 400))
    assert many.truncated
    assert 10 < len(many.answers) < 50


def test_bindings_follow_the_chain() -> None:
    """The name asked for and its alias are both bound, for the shorter of their lives."""
    assert _parsed(CHAIN).bindings() == (
        Binding("cdn.pool.example", V4, 90),
        Binding("pool.example", V4, 30),
        Binding("cdn.pool.example", V6, 20),
        Binding("pool.example", V6, 20),
    )


def test_bindings_survive_a_loop_and_a_flood() -> None:
    """Aliases in a circle and hundreds of addresses stay bounded."""
    circle = _record(TO_POOL, RecordType.CNAME, TO_POOL)
    flood = b"".join(
        _record(TO_POOL, RecordType.AAAA, bytes(14) + n.to_bytes(2)) for n in range(500)
    )
    aliases = b"".join(
        _record(bytes((2, 97, 97 + n, 0)), RecordType.CNAME, TO_POOL) for n in range(8)
    )
    message = _parsed(_header(1, 509) + _question() + circle + aliases + flood)
    assert len(message.answers) == 509
    assert len(message.bindings()) == MAX_BINDINGS


def test_an_address_said_again_is_no_more_work() -> None:
    """A record holds thousands of hints: each is tied once, to names that are gathered once."""
    target = b"\4svc0\0"
    aliases = b"".join(
        _record(b"\4a%03d\0" % number, RecordType.CNAME, target) for number in range(400)
    )

    def answer(hints: int) -> DnsMessage:
        parameter = b"\0\4" + (4 * hints).to_bytes(2) + V4 * hints
        https = _record(target, RecordType.HTTPS, b"\0\1\0" + parameter)
        return _parsed(_header(0, 401) + aliases + https)

    few, many = answer(1), answer(10_000)
    assert many.bindings() == few.bindings()
    assert len(many.bindings()) == MAX_CHAIN
    assert calls(many.bindings) < calls(few.bindings) + 100


def test_huge_ttl_is_zero() -> None:
    """A TTL with the sign bit set counts as none (RFC 2181 section 8)."""
    message = _parsed(ASKED + _record(TO_POOL, RecordType.A, V4, ttl=0xFFFFFFFF))
    assert message.answers[0].ttl == 0


@given(st.binary(max_size=400), st.integers(0, 3))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_answered(data: bytes, shape: int) -> None:
    """Arbitrary bytes, bare or behind a plausible beginning, never raise."""
    for prefix in (b"", _header(1, 3, 2, 1), ASKED, CHAIN[:40])[shape : shape + 1]:
        message = parse_message(prefix + data)
        if isinstance(message, DnsMessage):
            message.bindings()


@given(st.lists(st.tuples(st.integers(0, len(CHAIN) - 1), st.integers(0, 255)), max_size=8))
@settings(max_examples=200, deadline=None)
def test_flipped_bytes_are_answered(flips: list[tuple[int, int]]) -> None:
    """A damaged answer never raises, and its names stay within the limit."""
    raw = bytearray(CHAIN)
    for at, value in flips:
        raw[at] = value
    message = parse_message(bytes(raw))
    if isinstance(message, DnsMessage):
        assert all(len(answer.name) <= 4 * 255 for answer in message.answers)


CAPTURES = [
    "arkime/dns-udp.pcap",
    "arkime/dns-punycode.pcap",
    "arkime/dns-wiresharkrepo.pcap",
    "arkime/dnssec_synthetic.pcap",
    "zeek/dns-svcb.pcap",
    "zeek/dns__ech.pcap",
    "zeek/dns-edns-ecs.pcap",
    "zeek/dns__dns-binds.pcap",
    "suricata-verify/dns__dns-udp-eve-log-answer-only__dns-udp-google.com-a-aaaa-mx.pcap",
]


@pytest.mark.corpora
@pytest.mark.parametrize("name", CAPTURES)
def test_captured_against_dpkt(name: str, udp_payloads: Callable[[str], list[bytes]]) -> None:
    """Captured messages have the questions and addresses that dpkt reads in them."""
    compared = 0
    for payload in udp_payloads(name):
        try:
            theirs = dpkt.dns.DNS(payload)
        except (dpkt.UnpackError, UnicodeDecodeError):
            continue
        ours = parse_message(payload)
        if isinstance(ours, Malformed) or ours.truncated:
            continue
        compared += 1
        assert ours.rcode & 0x0F == theirs.rcode
        assert [q.name for q in ours.questions] == [q.name.lower() for q in theirs.qd]
        assert [a.value for a in ours.answers if a.type == RecordType.A] == [
            rr.rdata for rr in theirs.an if rr.type == RecordType.A
        ]
    assert compared


@pytest.mark.corpora
def test_captured_ech(udp_payloads: Callable[[str], list[bytes]]) -> None:
    """A captured HTTPS record shows that its server takes encrypted hellos."""
    values = [
        answer.value
        for payload in udp_payloads("zeek/dns__ech.pcap")
        if isinstance(message := parse_message(payload), DnsMessage)
        for answer in message.answers
    ]
    assert any(isinstance(value, ServiceBinding) and value.ech for value in values)
