"""Conditions beside JSON: what they match, where, and only once enough was seen.

Each stream goes through the production inspector whole and byte by byte, with the same result.
"""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.errors import PackError
from davylamp.flow import Direction
from davylamp.inspection.combination import MAX_MET, MAX_WOKEN
from davylamp.inspection.inspector import InspectionLimits, Inspector
from davylamp.proving.ordinary import client_hello
from davylamp.signatures.pack import Pack, load
from davylamp.signatures.vectors import Bytes, byte_by_byte

C, S = Direction.ORIGINATOR, Direction.RESPONDER
WALLET = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
ENDPOINT = bytes((198, 51, 100, 7)) + (3333).to_bytes(2, "big")
ROW = b"198.51.100.7\t3333\ttcp\tprobable\tXMR\tP\tmade up\t2026-01-01\t2026-06-30\n"
MANIFEST = b"name: t\nversion: 2026.1.1\nformat: 1\n"


def signature(identity: str, when: str, confidence: int = 90) -> bytes:
    """Return a signature's file."""
    return (
        f"{{id: {identity}, rev: 1, title: t, category: mining, dialect: d, role: miner,"
        f" confidence: {confidence}, severity: 1, maturity: stable, detail: d, coins: [TOY],"
        f" when: {when}}}\n"
    ).encode()


def pack_of(*conditions: str) -> Pack:
    """Return a pack with a signature a condition, named a, b, c."""
    files = {"pack.yaml": MANIFEST, "lists/to.tsv": ROW}
    for name, when in zip("abcdef", conditions, strict=False):
        files[f"x/{name}.yaml"] = signature(name, when)
    return load(files)


def told(pack: Pack, *stream: tuple[Direction, bytes]) -> list[tuple[str, int, int]]:
    """Return what is found, with the place of its evidence; the same however it is cut."""
    steps = tuple(Bytes(direction, data) for direction, data in stream)
    ways = []
    for feeding in (steps, byte_by_byte(steps)):
        inspector = Inspector(pack)
        ways.append(
            [
                (one.signature.id, one.offset, one.end)
                for step in feeding
                for one in inspector.receive(step.direction, step.data, 0.0)
            ]
        )
    assert ways[0] == ways[1]
    return [(str(identity), offset, end) for identity, offset, end in ways[0]]


@dataclass(frozen=True, slots=True)
class Case:
    """A condition, and what meets it and what does not."""

    when: str
    meets: tuple[tuple[Direction, bytes], ...]
    misses: tuple[tuple[Direction, bytes], ...]


LINE = "{line: {from: client, starts_with: 'TOY,', split: ',', fields: [any, wallet, digits]}}"
GET = b"GET %b HTTP/1.1\r\nHost: %b\r\nX-Rig: 7\r\n\r\n"
HTTP = (
    "{http: {method: [GET, HEAD], path: [/a/b, /long/*], host: '*.pool.test',"
    " headers: {x-rig: digits}}}"
)
XMRIG = "{http: {headers: {user-agent: {$starts_with: [xmrig/, toyminer/]}}}}"
HELLO = client_hello("eu.pool.test")

CASES = [
    Case(LINE, ((C, f"hi\r\nTOY,{WALLET},7\r\n".encode()),), ((C, b"TOY,me,7\n"),)),
    Case(LINE, ((C, f"TOY,{WALLET},7\n".encode()),), ((S, f"TOY,{WALLET},7\n".encode()),)),
    Case(LINE, ((C, f"TOY,{WALLET},7\n".encode()),), ((C, f"TOY,{WALLET},7".encode()),)),
    Case(LINE, ((C, f"TOY,{WALLET},7\n".encode()),), ((C, f"\0TOY\nTOY,{WALLET},7\n".encode()),)),
    Case("{line: {ends_with: [' yay']}}", ((S, b"x yay\r\n"),), ((S, b"x yay \n yay!\n"),)),
    Case(
        "{line: {starts_with: toyy, contains: [a, b]}}", ((S, b"toyy ba\n"),), ((S, b"toyy b\n"),)
    ),
    Case("{bytes: {starts_with: [toys, toy5x]}}", ((C, b"toy5xyz"),), ((C, b" toys"),)),
    Case(
        "{bytes: {from: server, starts_with: {hex: 00 01 02 03}, contains: rig, within: 16}}",
        ((S, b"\0\1\2\3 my rig 7"),),
        ((S, b"\0\1\2\3 0123456789abcdef rig"),),
    ),
    Case(
        HTTP,
        ((C, GET % (b"/a/b?x=1", b"eu.pool.test")),),
        ((C, GET % (b"/a/bc", b"eu.pool.test")),),
    ),
    Case(
        HTTP,
        ((C, GET % (b"/long/er", b"eu.pool.test")),),
        ((C, GET % (b"/long/er", b"pool.test")),),
    ),
    Case(
        HTTP,
        ((C, GET % (b"http://eu.pool.test/a/b", b"x")),),
        ((C, b"POST" + (GET % (b"/a/b", b"eu.pool.test"))[3:]),),
    ),
    Case(
        XMRIG,
        ((C, b"GET / HTTP/1.1\r\nHost: a\r\nuSER-aGENT :  toyminer/1\r\n\r\n"),),
        ((C, b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: no toyminer/1\r\n\r\n"),),
    ),
    Case(
        XMRIG,
        ((C, b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent:\r\n toyminer/1\r\n\r\n"),),
        ((C, b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: no\r\n toyminer/1\r\n\r\n"),),
    ),
    Case(
        "{http: {headers: {x-rig: {$const: number 7}}}}",
        ((C, b"GET / HTTP/1.1\r\n X-Rig: number\r\n\t7\r\n\r\n"),),
        ((C, b"GET / HTTP/1.1\r\nX-Rig: number7\r\n 7\r\n\r\n"),),
    ),
    Case(
        "{http: {host: pool.test}}",
        ((C, GET % (b"/", b"pool.test..")),),
        ((C, GET % (b"/", b"pool.test.x")),),
    ),
    Case(
        "{http: {from: server, headers: {x-pool: any}}}",
        ((C, GET % (b"/", b"a")), (S, b"HTTP/1.1 200 OK\r\nX-Pool: \r\nContent-Length: 0\r\n\r\n")),
        ((C, b"GET / HTTP/1.1\r\nHost: a\r\nX-Pool: yes\r\n\r\n"),),
    ),
    Case("{tls: {sni: '*.pool.test'}}", ((C, HELLO),), ((C, client_hello("pool.test")),)),
    Case(
        "{tls: {ja4: t12d0101*, ech: false}}".replace("0101*", "010100_*"),
        ((C, HELLO),),
        ((C, b"\x15" + HELLO[1:]),),
    ),
    Case(
        "{json: {from: server, method: toy, members: {x?: {$not: any}}}}",
        ((S, b'{"method": "toy"}\n'),),
        ((C, b'{"method": "toy"}\n'), (S, b'{"method": "toy", "x": 1}\n')),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.when)
def test_a_condition_is_met_by_what_it_asks_for(case: Case) -> None:
    """One stream meets it once, another not at all."""
    pack = pack_of(case.when)
    assert [identity for identity, *_ in told(pack, *case.meets)] == ["a"]
    assert told(pack, *case.misses) == []


def test_evidence_is_where_it_stands() -> None:
    """A line's evidence is the line, a beginning's what it took to tell."""
    pack = pack_of(LINE, "{bytes: {starts_with: hello, contains: x}}")
    stream = b"hello, xyz\n" + f"TOY,{WALLET},7\r\n".encode()
    assert told(pack, (C, stream)) == [("b", 0, 8), ("a", 11, 11 + 6 + len(WALLET))]
    socks = b"\x05\x01\x00\x05\x01\x00\x03\x01a\x00\x50"
    assert told(pack, (C, socks + b"hello x")) == [("b", len(socks), len(socks) + 7)]


def test_an_endpoint_is_told_until_it_expires() -> None:
    """The same flow is told in June and not in July."""
    pack = pack_of("{endpoint: {list: to}}")
    june, july = 1_782_777_600.0, 1_782_864_000.0  # 30 June and 1 July 2026, 00:00 UTC
    for now, expected in ((june, ["a"]), (july, [])):
        inspector = Inspector(pack)
        inspector.reach(ENDPOINT, now)
        found = inspector.receive(C, b"hello", now)
        assert [one.signature.id for one in found] == expected
        assert all(one.confidence == 70 and one.coin == "XMR" for one in found)


# --- combinations -------------------------------------------------------------------------

HI, HO, NO = b"+hello\n", b"+howdy\n", b"-never\n"
SAID = {
    "hi": "line: {from: client, starts_with: +hello}",
    "ho": "line: {from: server, starts_with: +howdy}",
}
NEVER = "not: {condition: {line: {from: client, starts_with: '-never'}}, enough: 64}"
PAD = b"." * 80 + b"\n"


def test_all_of_needs_both_sides_in_any_order() -> None:
    """Neither side alone is enough; whichever comes last, the evidence is what is asked last."""
    pack = pack_of(f"{{all_of: [{{{SAID['hi']}}}, {{{SAID['ho']}}}]}}")
    assert told(pack, (C, HI + HI)) == []
    assert told(pack, (S, HO)) == []
    assert told(pack, (C, HI), (S, HO), (C, HI)) == [("a", 0, 6)]
    assert told(pack, (S, HO), (C, HI)) == [("a", 0, 6)]


def test_a_combination_keeps_its_flow() -> None:
    """What one part has woken is not let go before the depth, and then it is."""
    pack = pack_of(f"{{all_of: [{{http: {{path: /toy}}}}, {{{SAID['ho']}}}]}}")
    inspector = Inspector(pack, InspectionLimits(depth=1024))
    inspector.receive(C, GET % (b"/toy", b"a"), 0.0)
    kept = [inspector.settled]
    inspector.receive(S, b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + bytes(1200), 0.0)
    kept.append(inspector.settled)
    assert kept == [False, True]
    other = Inspector(pack)
    other.receive(C, GET % (b"/", b"a"), 0.0)
    assert other.settled


def test_not_waits_until_enough_was_seen() -> None:
    """Silence counts once so many bytes were seen, and never behind a hole."""
    pack = pack_of(f"{{all_of: [{{{SAID['hi']}}}, {{{NEVER}}}]}}")
    assert told(pack, (C, HI)) == []
    assert told(pack, (C, HI + PAD)) == [("a", 0, 6)]
    assert told(pack, (C, HI + NO + PAD)) == []
    assert told(pack, (C, HI + PAD + NO)) == [("a", 0, 6)]
    holed = Inspector(pack)
    assert holed.receive(C, HI, 0.0) == ()
    holed.gap(C, 100)
    assert holed.receive(C, PAD, 0.0) == ()


def test_digits_of_bytes_are_no_number() -> None:
    """Two literals that would be one number are two conditions of a combination."""
    for one, other in (("0011223344", "11223344"), ("1e000005", "10e00004")):
        ways = [f"{{bytes: {{starts_with: {{hex: {digits}}}}}}}" for digits in (one, other)]
        pack = pack_of(f"{{any_of: [{', '.join(ways)}]}}")
        for data in (one, other):
            assert [identity for identity, *_ in told(pack, (C, bytes.fromhex(data)))] == ["a"]


def test_any_of_is_told_once_with_its_own_confidence() -> None:
    """A signature of several ways speaks once, beside one of its parts that speaks for itself."""
    pack = pack_of(f"{{any_of: [{{{SAID['hi']}}}, {{{SAID['ho']}}}]}}", f"{{{SAID['hi']}}}")
    found = [identity for identity, *_ in told(pack, (C, HI), (S, HO), (C, HI))]
    assert sorted(found) == ["a", "b", "b"]


def test_a_flow_remembers_a_bounded_number_of_parts() -> None:
    """However many combinations a flow touches, what is kept of them has a bound."""
    files = {"pack.yaml": MANIFEST}
    for number in range(2 * MAX_MET):
        when = f"{{all_of: [{{json: {{method: m{number}}}}}, {{json: {{method: never}}}}]}}"
        files[f"x/s{number}.yaml"] = signature(f"s{number}", when)
    inspector = Inspector(load(files))
    for number in range(2 * MAX_MET):
        inspector.receive(C, b'{"method": "m%d"}\n' % number, 0.0)
    assert inspector.held <= MAX_MET * 1024
    last = b'{"method": "never"}\n'
    assert len(inspector.receive(C, last, 0.0)) <= MAX_WOKEN


PIECES = [
    *(HI, HO, NO, PAD, b"toyy a b\n", b"x yay\r\n", b"TOY,", WALLET.encode(), b",7\n", b"\0\1\2\3"),
    *(b"hello rig", b"\r\n\r\n", b"GET /a/b HTTP/1.1\r\nHost: eu.pool.test\r\nX-Rig: 1"),
    *(b"HTTP/1.1 200 OK\r\nX-Pool: a\r\nContent-Length: 3", HELLO, HELLO[:40], b"\0", b"\n"),
    *(b'{"method": "toy"}\n', b'{"method":', b"\x05\x01\x00\x05\x01\x00\x03\x01a\x00\x50"),
    b"User-Agent: xmrig/6",
]


@pytest.fixture(scope="module")
def every() -> Pack:
    """Return a pack with every condition above, and combinations of them."""
    conditions = [
        *dict.fromkeys(case.when for case in CASES),
        f"{{all_of: [{{{SAID['hi']}}}, {{{SAID['ho']}}}, {{{NEVER}}}]}}",
        f"{{any_of: [{{{SAID['ho']}}}, {{all_of: [{HTTP}, {{{NEVER}}}]}}]}}",
    ]
    files = {"pack.yaml": MANIFEST}
    for number, when in enumerate(conditions):
        files[f"x/s{number}.yaml"] = signature(f"s{number}", when)
    return load(files)


@given(
    st.lists(
        st.tuples(st.sampled_from([C, C, S]), st.sampled_from(PIECES) | st.binary(max_size=30)),
        max_size=8,
    )
)
@settings(max_examples=150, deadline=None)
def test_cuts_change_nothing(every: Pack, stream: list[tuple[Direction, bytes]]) -> None:
    """Whatever both sides say, whole segments tell what single bytes do."""
    told(every, *((direction, data) for direction, data in stream if data))


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("{not: {condition: {event: ssh.banner}}}", "put it into 'all_of'"),
        ("{all_of: [{not: {condition: {event: ssh.banner}}}]}", "add what must be there"),
        (
            "{any_of: [{event: ssh.banner}, {not: {condition: {event: p2p.levin}}}]}",
            "add what must",
        ),
        ("{all_of: [{not: {condition: {any_of: [{event: ssh.banner}]}}}]}", "cannot stand inside"),
        ("{all_of: []}", "at least one condition"),
        ("{any_of: [" + ", ".join(["{event: ssh.banner}"] * 9) + "]}", "more than 8 conditions"),
        ("{line: {starts_with: abc}}", "3 bytes; write 4 to 64; a shorter one is met by chance"),
        ("{line: {starts_with: abcd, split: ','}}", "'split' and 'fields' go together"),
        ("{line: {contains: abcd}}", "at least one of: starts_with, ends_with"),
        ('{line: {starts_with: "ab\\ncd"}}', "no line break"),
        ("{bytes: {starts_with: abcd, within: 9}}", "'within' is about 'contains'"),
        ("{bytes: {starts_with: {hex: 0g}}}", "pairs of hexadecimal digits"),
        ("{http: {path: /x*}}", "at least 4 characters before"),
        ("{http: {from: server, path: /xyz}}", "a response has neither"),
        ("{http: {headers: {X-Rig: any}}}", "lower case: 'x-rig'"),
        ("{http: {headers: {x-rig?: any}}}", "at least one field that must be there"),
        ("{http: {headers: {x-rig: {$const: 1}}}}", 'a string, and never 1; quote it: "1"'),
        ("{http: {headers: {x-rig: number}}}", "a header field is a string, and never 'number'"),
        ("{http: {path: '/a?b=1'}}", "without query"),
        ("{http: {path: /abc/*/d}}", "at the end"),
        *(
            (f"{{http: {{host: '{host}'}}}}", "the host asked for, without port")
            for host in ("pool.test:3333", "pool.test.", "*", "*.test", "a.*.test", "http://a.test")
        ),
        ("{tls: {sni: p\u00f6ol.test}}", "other scripts as `xn--`"),
        ("{tls: {ja4: t13d*}}", "behind its first `_`"),
        ("{tls: {ja4: t13d0101h2_8DAAF6152771_e5627efa2ab1}}", "The JA4|the JA4"),
        ("{line: {starts_with: abcd, split: ' ', fields: [any, integer]}}", "never 'integer'"),
        ("{line: {starts_with: abcd, split: ' ', fields: [{$in: [a, 1]}]}}", 'quote it: "1"'),
        ("{line: {starts_with: abcd, split: ' ', fields: [{a: any}]}}", "has no parts"),
        ("{line: {starts_with: abcd, split: ' ', fields: {a: any}}}", "the shape of a list"),
        ("{bytes: {starts_with: abcd, contains: abcde, within: 4}}", "within 4 bytes there are no"),
        ("{line: {starts_with: [" + "abcd, " * 300 + "]}}", "more than 256"),
        ("{json: {members: {a: [" + "any, " * 300 + "]}}}", "more than 256 shapes"),
        (
            "{all_of: [{event: ssh.banner}, {flights: {sizes: ['client:0', 'server:9']}}]}",
            "a flight has a byte at least",
        ),
        ("{name: {field: tls.sni, list: lists/to.tsv}}", "without folder and ending"),
        ("{tls: {ech: true}}", "at least one of: ja4, sni, alpn"),
        ("{endpoint: {list: nowhere}}", "no list 'nowhere'"),
        ("{name: {field: tls.sni, list: to}}", "'to' is not one of host names"),
        ("{event: ssh.baner}", "did you mean 'ssh.banner'"),
    ],
)
def test_a_condition_that_cannot_be_meant_is_refused(when: str, message: str) -> None:
    """The message says what to write instead."""
    with pytest.raises(PackError, match=message):
        pack_of(when)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (ROW.replace(b"198.51.100.7", b"104.16.1.1"), "104.16.1.1 is Cloudflare's; many share it"),
        (ROW.replace(b"198.51.100.7", b"2a04:4e42::1"), "Fastly's"),
        (ROW.replace(b"198.51.100.7", b"127.0.0.1"), "nobody's"),
        (ROW.replace(b"198.51.100.7", b"::ffff:198.51.100.7"), "write 198.51.100.7"),
        (ROW.replace(b"198.51.100.7", b"fe80::1%eth0"), "is not an address"),
        (ROW.replace(b"198.51.100.7", b"198.51.100.0/24"), "without network or port"),
        (ROW.replace(b"3333", b"0"), "not a port"),
        (ROW.replace(b"\ttcp", b"\tudp"), "scheme is one of"),
        (ROW.replace(b"2026-06-30", b"2028-01-01"), "0 to 366 days after"),
        (ROW.replace(b"2026-06-30", b"soon"), "not a day"),
        (ROW.replace(b"made up", b""), "where the endpoint is from"),
        (ROW + ROW, "also on line 1"),
        (ROW.replace(b"\t2026-06-30", b""), "8 columns; write 9"),
    ],
)
def test_an_endpoint_that_may_not_be_listed_is_refused(row: bytes, message: str) -> None:
    """Shared addresses, endless belief and rows without a source do not load."""
    files = {"pack.yaml": MANIFEST, "lists/to.tsv": row}
    with pytest.raises(PackError, match=r"lists/to\.tsv:\d+:1: .*" + message):
        load(files)
