"""A pack is built from named bytes; its lookups answer."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.errors import PackError
from davylamp.paths import SIGNATURES
from davylamp.signatures.model import Category, JsonCondition, Kind, Maturity
from davylamp.signatures.names import Kind as NameKind
from davylamp.signatures.pack import Pack, load

MONERO = "4" + "A" * 94
MANIFEST = b"name: toy\nversion: 2026.1.1\nformat: 1\n"
FIELDS = (
    "rev: 1\ntitle: t\ncategory: mining\ndialect: d\nrole: miner\nconfidence: 90\nseverity: 1\n"
    "maturity: stable\ndetail: d\n"
)


def signature(identity: str, when: str, maturity: str = "stable") -> bytes:
    """Write a small signature."""
    return f"id: {identity}\n{FIELDS.replace('stable', maturity)}when: {when}\n".encode()


def test_a_pack_has_its_name_and_version(core: Pack) -> None:
    """The core pack says who it is, and holds what its folders hold."""
    assert core.name == "core"
    assert core.version.count(".") == 2
    files = list((SIGNATURES / "core").rglob("*-*.yaml"))
    assert len(core.signatures) == len(files)
    assert len(core.lists["pools"]) > 500


def test_matches_come_surest_first(core: Pack) -> None:
    """A message that fits two signatures names the more telling one first."""
    found = core.match_message(
        {"id": 1, "method": "mining.subscribe", "params": ["GMiner/3", "EthereumStratum/1.0.0"]}
    )
    assert [match.signature.id for match in found] == [
        "ethereum-stratum-subscribe",
    ]
    both = core.match_message(
        {"id": 2, "method": "submit", "nonce": "ab" * 8, "output": "cd" * 104, "result": "ok"}
        | {"jsonrpc": "2.0"}
    )
    assert [match.signature.id for match in both] == ["beam-solution", "grin-reply"]


@pytest.mark.parametrize(
    ("message", "coin"),
    [
        ({"method": "login", "params": {"login": MONERO + ".w", "pass": "x"}}, "XMR"),
        ({"method": "mining.authorize", "params": ["t1" + "B" * 33 + ".w", "x"]}, "ZEC"),
        ({"method": "mining.authorize", "params": ["ann", "x"]}, ""),
        (
            {
                "method": "job",
                "params": {"blob": "0" * 152, "job_id": "1", "target": "0" * 8, "algo": "rx/wow"},
            },
            "WOW",
        ),
    ],
)
def test_the_coin_is_read_from_wallet_or_algorithm(
    core: Pack, message: dict[str, object], coin: str
) -> None:
    """The coin is named where the message shows it and left empty where it does not."""
    (match,) = core.match_message(message)
    assert match.coin == coin
    assert match.detail == match.signature.detail != ""


def test_sandbox_signatures_are_off(core: Pack) -> None:
    """What is only being tried out matches nothing until it is switched on."""
    reply: dict[str, object] = {"id": 2, "jsonrpc": "2.0", "result": {"status": "OK"}}
    assert core.match_message(reply) == ()
    assert [match.signature.id for match in core.with_sandbox().match_message(reply)] == [
        "cryptonote-submit-result"
    ]
    assert (
        core.signatures[core.with_sandbox().match_message(reply)[0].signature.id].maturity
        is Maturity.SANDBOX
    )


def test_a_name_match_is_as_sure_as_its_entry(core: Pack) -> None:
    """Only confirmed endpoints reach the confidence that may block; websites say nothing."""
    confirmed = core.match_name("tls.sni", "pool.supportxmr.com")
    assert confirmed is not None
    assert (confirmed.confidence, confirmed.coin) == (90, "XMR")
    assert confirmed.entry.may_block
    mixed = core.match_name("tls.sni", "public-pool.io")
    assert mixed is not None
    assert mixed.entry.kind is NameKind.MIXED
    assert mixed.confidence < 80
    assert core.match_name("tls.sni", "www.nanopool.org") is None
    browsed = core.match_name("http.host", "pool.supportxmr.com")
    assert browsed is not None
    assert browsed.confidence < 80  # some hosts that serve stratum answer browsers too


def test_what_is_doubtful_never_reaches_blocking_confidence(core: Pack) -> None:
    """What is not stable keeps below 80; what is stable is sure, or weak and says in what way."""
    for one in core.signatures.values():
        if one.maturity is not Maturity.STABLE:
            assert one.confidence < 80, one.id
        elif one.category is Category.MINING:
            assert one.confidence >= 60, one.id
            assert one.kind is not Kind.MESSAGE or one.confidence < 80, one.id
        assert one.references, one.id


def test_every_json_signature_of_the_core_pack_has_a_kind(core: Pack) -> None:
    """What a finding supports is said, except where only a family of methods is known."""
    unsaid = {
        one.id
        for one in core.signatures.values()
        if isinstance(one.condition, JsonCondition) and one.kind is Kind.MESSAGE
    }
    assert unsaid == {"stratum-family-shape"}


def test_a_fallback_is_silent_where_something_better_speaks() -> None:
    """A stable signature makes fallbacks superfluous; a doubtful one, or none, does not."""

    def found(maturity: str) -> set[str]:
        files = {
            "pack.yaml": MANIFEST,
            "a/plain.yaml": signature("plain", "{json: {method: x}}", maturity),
            "a/last.yaml": signature("last", "{json: {method: [x, y]}}") + b"fallback: true\n",
        }
        pack = load(files)
        assert [match.signature.id for match in pack.match_message({"method": "y"})] == ["last"]
        return {match.signature.id for match in pack.match_message({"method": "x"})}

    assert found("stable") == {"plain"}
    assert found("incubating") == {"plain", "last"}
    assert found("sandbox") == {"last"}


def test_confirmed_names_are_hosts_not_websites(core: Pack) -> None:
    """No registrable name, where a website lives, is a confirmed endpoint."""
    for entry in core.lists["pools"]:
        if entry.may_block:
            bare = entry.name.removeprefix("*.")
            assert bare.count(".") >= 2, entry
            assert not bare.startswith(("www.", "api.")), entry


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no pack.yaml"),
        ({"pack.yaml": b"name: x\nversion: 1\nformat: 2\n"}, "this davylamp reads format 1"),
        ({"pack.yaml": b"format: 1\n"}, "write 'name' and 'version'"),
        ({"pack.yaml": b"- 1\n"}, "format None"),
        (
            {"pack.yaml": b"format: 1\nname: x\nverion: 1\n"},
            r"^pack\.yaml:3:1: unknown field 'verion'; did you mean 'version'",
        ),
        ({"pack.yaml": MANIFEST, "a/run.sh": b""}, "a/run.sh: not part of a pack"),
        ({"pack.yaml": MANIFEST, "a/x.tsv": b""}, "a/x.tsv: not part of a pack"),
        (
            {
                "pack.yaml": MANIFEST,
                "a/x.yaml": signature("x", "{name: {field: tls.sni, list: l}}"),
            },
            "no list 'l'; add lists/l.tsv",
        ),
        (
            {
                "pack.yaml": MANIFEST,
                "a/x.yaml": signature("x", "{event: ssh.banner}"),
                "b/x.yaml": signature("x", "{event: p2p.levin}"),
            },
            r"^b/x\.yaml:1:1: two signatures have the id 'x', here and at a/x\.yaml:1:1",
        ),
        (
            {
                "pack.yaml": MANIFEST,
                "a/x.yaml": signature("x", "{event: ssh.banner}"),
                "a/y.yaml": signature("y", "{event: ssh.banner}"),
            },
            r"^a/y\.yaml:1:1: y and x both wait for 'ssh.banner'",
        ),
    ],
)
def test_a_pack_that_contradicts_itself_is_refused(files: dict[str, bytes], message: str) -> None:
    """The message names the file or the signature, and what to do."""
    with pytest.raises(PackError, match=message):
        load(files)


def test_two_lists_on_one_field_keep_the_surer_signature() -> None:
    """A name on two lists is answered by the signature with the higher confidence."""
    row = b"a.pool.test\tendpoint\tconfirmed\t-\tP\tconfigs\t2026-01-01\n"
    low = signature("low", "{name: {field: tls.sni, list: one}}").replace(b"90", b"50")
    pack = load(
        {
            "pack.yaml": MANIFEST,
            "README.md": b"read me",
            "lists/one.tsv": row,
            "lists/two.tsv": row,
            "a/low.yaml": low,
            "a/high.yaml": signature("high", "{name: {field: tls.sni, list: two}}"),
        }
    )
    match = pack.match_name("tls.sni", "a.pool.test")
    assert match is not None
    assert match.signature.id == "high"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=10)
        | st.dictionaries(
            st.sampled_from(["params", "result", "job", "blob", "login", "id", "nonce", "x"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@given(
    st.dictionaries(st.sampled_from(["method", "params", "result", "id"]), JSON, max_size=4),
    st.sampled_from(["login", "submit", "job", "mining.submit", "mining.notify", "x"]),
)
@settings(max_examples=200, deadline=None)
def test_no_message_makes_a_lookup_raise(
    core: Pack, message: dict[str, object], method: str
) -> None:
    """Whatever a hostile end sends as JSON, the answer is a tuple of matches."""
    for one in (message, {**message, "method": method}):
        for match in core.match_message(one):
            assert isinstance(match.signature.condition, JsonCondition)
