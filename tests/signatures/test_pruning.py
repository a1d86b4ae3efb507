"""Whatever a pack asks for, its indexes find what asking every condition finds, each once.

Conditions and what is held against them are made of the same few words, so that they meet often.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from davylamp.errors import PackError
from davylamp.flow import Direction
from davylamp.inspection.wire.http_head import Headers, parse_fields
from davylamp.signatures import certificates, heads, hellos
from davylamp.signatures.certificates import Certificate
from davylamp.signatures.heads import Head, unfolded
from davylamp.signatures.model import (
    BytesCondition,
    CertificateCondition,
    HttpCondition,
    JsonCondition,
    LineCondition,
    TlsCondition,
)
from davylamp.signatures.pack import Pack, load

type Yaml = dict[str, object]

QUICK = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
MANIFEST = b"name: t\nversion: 2026.1.1\nformat: 1\n"
HEAD = """\
rev: 1
title: t
category: mining
dialect: d
role: miner
confidence: 60
severity: 1
maturity: stable
detail: d
"""
CLIENT = Direction.ORIGINATOR


def pack_of(conditions: list[Yaml]) -> Pack:
    """Return a pack with a signature for each condition that compiles."""
    files = {"pack.yaml": MANIFEST}
    for number, when in enumerate(conditions):
        text = f"{HEAD}id: s{number}\nwhen: {json.dumps(when)}\n"
        file = {f"x/s{number}.yaml": text.encode()}
        try:
            load({"pack.yaml": MANIFEST, **file})
        except PackError:
            continue
        files |= file
    return load(files)


def meeting[C, T](
    pack: Pack, kind: type[C], meets: Callable[[C, T], bool | None], what: T
) -> list[str]:
    """Ask every condition of a kind."""
    return sorted(
        one.id
        for one in pack.signatures.values()
        if isinstance(one.condition, kind) and meets(one.condition, what)
    )


def optionally(**fields: st.SearchStrategy[object]) -> st.SearchStrategy[Yaml]:
    """Return mappings that have some of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


def some[T](values: st.SearchStrategy[T], most: int = 3) -> st.SearchStrategy[list[T]]:
    """Return short lists of different values."""
    return st.lists(values, min_size=1, max_size=most, unique=True)


def conditions(key: str, inner: st.SearchStrategy[Yaml]) -> st.SearchStrategy[list[Yaml]]:
    """Return a few conditions of one kind."""
    return st.lists(inner.map(lambda one: {key: one}), min_size=1, max_size=5)


# --- JSON ---------------------------------------------------------------------------------

MEMBERS = st.sampled_from(["a", "b", "method", "params"])
CONSTANTS = st.sampled_from(["a", "abcd", "m.x", 1, 0, True, False, None, 1.5])
WORDS = st.sampled_from(["any", "string", "integer", "null", "array:1-2", "object", "string|null"])


def _larger(shapes: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    lists, few = st.lists(shapes, max_size=3), st.lists(shapes, min_size=1, max_size=3)
    names = st.tuples(MEMBERS, st.sampled_from(["", "", "?"])).map("".join)
    return st.one_of(
        st.dictionaries(names, shapes, max_size=3),
        lists,
        few.map(lambda items: [*items, "..."]),
        few.map(lambda items: [*items[:-1], {"$optional": items[-1]}]),
        CONSTANTS.map(lambda one: {"$const": one}),
        some(CONSTANTS).map(lambda those: {"$in": those}),
        st.just({"$starts_with": ["abc", "m"]}),
        few.map(lambda those: {"$one_of": those}),
        few.map(lambda those: {"$all_of": those}),
        shapes.map(lambda one: {"$not": one}),
        shapes.map(lambda one: {"$some": one}),
    )


SHAPES = st.recursive(WORDS, _larger, max_leaves=5)
METHODS = some(st.sampled_from(["a", "m", "m.*", "m.x", "m.y"]))
JSON = optionally(
    method=METHODS,
    members=st.dictionaries(MEMBERS, SHAPES, min_size=1, max_size=3)
    | some(st.dictionaries(MEMBERS, SHAPES, min_size=1, max_size=2).map(json.dumps)).map(
        lambda those: {"$all_of": [json.loads(one) for one in those]}
    ),
)
VALUES = st.recursive(
    CONSTANTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=3),
    max_leaves=5,
)


def asks_for(methods: tuple[str, ...], method: object) -> bool:
    """Tell whether a method is one that a condition names, or of a family that it does."""
    families = tuple(name[:-1] for name in methods if name.endswith(".*"))
    known = isinstance(method, str) and (method in methods or method.startswith(families))
    return known or not methods


def is_met(condition: JsonCondition, message: dict[str, object]) -> bool:
    """Ask a condition itself."""
    method = message.get("method")
    return asks_for(condition.methods, method) and condition.members.test(message)


@given(conditions("json", JSON), st.lists(st.dictionaries(MEMBERS, VALUES), max_size=8))
@QUICK
def test_messages(asked: list[Yaml], messages: list[dict[str, object]]) -> None:
    """A JSON object."""
    pack = pack_of(asked)
    for message in messages:
        found = sorted(match.signature.id for match in pack.match_message(message))
        assert found == meeting(pack, JsonCondition, is_met, message)


# --- text ---------------------------------------------------------------------------------

LITERALS = some(st.sampled_from(["abcd", "abcde", "bcde", "dabcd", "cdab", "abcdabcd"]))
PARTS = some(st.sampled_from(["a", "da", ","]))
SIDE = st.sampled_from(["client", "server"])
TEXT = st.lists(st.sampled_from(["a", "abcd", "e", "d", ",", "\r"]), max_size=6).map(
    lambda parts: "".join(parts).encode()
)
LINE = optionally(**{"from": SIDE}, starts_with=LITERALS, ends_with=LITERALS, contains=PARTS)
BYTES = optionally(**{"from": SIDE}, starts_with=LITERALS, contains=PARTS, within=st.just(6))


@given(conditions("line", LINE), st.lists(TEXT, max_size=8), st.sampled_from(list(Direction)))
@QUICK
def test_lines(asked: list[Yaml], lines: list[bytes], side: Direction) -> None:
    """A line of either side."""
    pack = pack_of(asked)
    index = pack.indexes.lines

    def fits(condition: LineCondition, line: bytes) -> bool:
        return condition.direction in (None, side) and condition.fits(line)

    for line in lines:
        found = sorted(one.id for one in index.match(line, side))
        assert found == meeting(pack, LineCondition, fits, line)
        assert index.may_match(line) or not found


@given(conditions("bytes", BYTES), st.lists(TEXT, max_size=8), st.sampled_from(list(Direction)))
@QUICK
def test_beginnings(asked: list[Yaml], streams: list[bytes], side: Direction) -> None:
    """The first bytes of either side."""
    pack = pack_of(asked)
    index = pack.indexes.starts

    def fits(condition: BytesCondition, data: bytes) -> bool:
        return condition.direction in (None, side) and condition.judge(data) is True

    for data in streams:
        found = sorted(
            signature.id
            for length in index.lengths(data)
            for signature, condition in index.begun(data[:length], side)
            if length <= len(data) and condition.judge(data)
        )
        assert found == meeting(pack, BytesCondition, fits, data)


# --- heads --------------------------------------------------------------------------------

HOSTS = some(st.sampled_from(["a.test", "b.a.test", "*.a.test", "*.b.a.test"]))
FIELD_NAMES = st.sampled_from(["x-a", "x-b", "agent", *(f"x-{n}" for n in range(8))])
FIELD_SHAPES = st.one_of(
    st.sampled_from(["any", "string:1-"]),
    st.sampled_from(["abcd ef", ""]).map(lambda one: {"$const": one}),
    st.sampled_from([["abcd", "cdef"], ["ab"]]).map(lambda those: {"$starts_with": those}),
    st.just({"$in": ["abcd", "x"]}),
    st.just({"$not": {"$const": "x"}}),
)
HTTP = optionally(
    **{"from": SIDE},
    method=some(st.sampled_from(["GET", "POST"])),
    path=some(st.sampled_from(["/", "/ab", "/abc", "/abc*", "/abcd*"])),
    host=HOSTS,
    headers=st.dictionaries(FIELD_NAMES, FIELD_SHAPES, min_size=1, max_size=3),
)
FIELD_LINES = st.builds(
    lambda name, blank, value, end: f"{name}{blank}{value}{end}",
    FIELD_NAMES | FIELD_NAMES.map(str.upper) | st.sampled_from([" x-a", "\tagent", "no"]),
    st.sampled_from([":", ": ", " :", ":\t", ": \r\n ", ":\n\t", ""]),
    st.sampled_from(["abcd", "abcd ef", "abcd\r\n ef", "x", "", "ab\n c", "cdefg "]),
    st.sampled_from(["\r\n", "\n"]),
)


@given(
    conditions("http", HTTP),
    st.sampled_from(["GET", "POST"]),
    st.sampled_from(["/", "/ab", "/abc", "/abcde"]),
    st.sampled_from(["a.test", "b.a.test", "c.b.a.test", "a.test.", "b.a.test..", ""]),
    st.lists(FIELD_LINES, max_size=5),
    st.sampled_from(list(Direction)),
)
@QUICK
def test_heads(
    asked: list[Yaml], method: str, path: str, host: str, lines: list[str], side: Direction
) -> None:
    """A request's head, or a response's, however its fields are written."""
    pack = pack_of(asked)
    index = pack.indexes.heads
    raw = "".join(("GET / HTTP/1.1\r\n", *lines, "\r\n")).encode()
    fields = parse_fields(raw)
    head = Head(side, method, path, host) if side is CLIENT else Head(side)
    raw = unfolded(raw)
    lower = raw.lower()
    if side is CLIENT:
        filed = index.of_request(path, host, raw, lower)
    else:
        filed = index.of_response(raw, lower)
    found = sorted(one.id for one in index.match(filed, head, fields))

    def fits(condition: HttpCondition, fields: Headers) -> bool:
        return condition.direction is side and heads.fits(condition, head, fields)

    assert found == meeting(pack, HttpCondition, fits, fields)


# --- TLS ----------------------------------------------------------------------------------

NAMES = st.sampled_from(["a.test", "b.a.test", "c.b.a.test", "a.test."])
PRINTS = ["t13d0101h2_0123456789ab_cdef01234567", "t13i0101h2_0123456789ab_cdef01234567"]


@dataclass(frozen=True, slots=True)
class Hello:
    """What is asked about a ClientHello."""

    server_names: tuple[str, ...]
    alpn: tuple[str, ...]
    ech: bool
    ja4: str

    @property
    def ja4_kind(self) -> str:
        """The fingerprint's first four characters."""
        return self.ja4[:4]

    @property
    def ja4_head(self) -> str:
        """The fingerprint up to its first underscore."""
        return self.ja4[:10]


TLS = optionally(
    ja4=some(
        st.sampled_from([*PRINTS, *(f"{one[:at]}*" for one in PRINTS for at in (11, 15, 30))])
    ),
    sni=HOSTS,
    alpn=some(st.sampled_from(["h2", "toy/1"])),
    names_server=st.booleans(),
    ech=st.booleans(),
)
HELLOS = st.builds(
    Hello,
    st.lists(NAMES, max_size=2).map(tuple),
    st.lists(st.sampled_from(["h2", "toy/1", "x"]), max_size=2).map(tuple),
    st.booleans(),
    st.sampled_from([*PRINTS, PRINTS[0].replace("01234567", "11111111")]),
)


@given(conditions("tls", TLS), st.lists(HELLOS, max_size=5))
@QUICK
def test_hellos(asked: list[Yaml], shown: list[Hello]) -> None:
    """A ClientHello."""
    pack = pack_of(asked)
    for hello in shown:
        found = sorted(one.id for one in pack.indexes.hellos.match(hello))
        assert found == meeting(pack, TlsCondition, hellos.fits, hello)


DIGESTS = [sha256(text).hexdigest() for text in (b"a", b"b")]
CERTIFICATE = optionally(
    sha256=some(st.sampled_from(DIGESTS)),
    name=HOSTS | some(st.sampled_from(["Toy Inc.", "Toy Inc", "192.0.2.7", "2001:db8::7"])),
    issuer=some(st.sampled_from(["Toy CA.", "toy ca"])),
    self_signed=st.booleans(),
)
CERTIFICATES = st.builds(
    Certificate,
    st.sampled_from(DIGESTS),
    st.lists(
        st.sampled_from(["a.test", "b.a.test", "*.a.test", "toy inc.", "192.0.2.7", "2001:db8::7"]),
        max_size=2,
    ).map(tuple),
    st.lists(st.sampled_from(["toy ca.", "Toy CA", "x"]), max_size=1).map(tuple),
    st.sampled_from([True, False, None]),
)


@given(conditions("certificate", CERTIFICATE), st.lists(CERTIFICATES, max_size=5))
@QUICK
def test_certificates(asked: list[Yaml], shown: list[Certificate]) -> None:
    """A server's certificate."""
    pack = pack_of(asked)
    for certificate in shown:
        found = sorted(one.id for one in pack.indexes.certificates.match(certificate))
        assert found == meeting(pack, CertificateCondition, certificates.fits, certificate)
