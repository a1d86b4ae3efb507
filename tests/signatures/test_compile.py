"""A signature file compiles to a Signature, or says where and why not."""

import re
from pathlib import Path

import pytest

from davylamp.errors import PackError
from davylamp.signatures.compile import compile_signature
from davylamp.signatures.language import EVENTS
from davylamp.signatures.model import (
    Category,
    EventCondition,
    JsonCondition,
    Kind,
    Maturity,
    NameCondition,
    Role,
)
from davylamp.signatures.pack import Pack

GOOD = """\
id: toy-hello
rev: 2
title: Toy greeting
category: mining
dialect: toy
role: miner
coins: [TOY]
confidence: 90
severity: 1
maturity: stable
technique: T1496.001
references: [https://example.org/toy]
detail: hello with a wallet
when:
  json:
    method: hello
    members:
      params: [string]
    coin:
      wallet: params.0
      algo: params.job.algo
kind: login
fallback: true
"""


def compiled(text: str) -> object:
    """Compile a text as the file toy/toy-hello.yaml."""
    return compile_signature(text.encode(), "toy/toy-hello.yaml")


def test_every_field_arrives() -> None:
    """What is written is what the signature says."""
    found = compile_signature(GOOD.encode(), "toy/toy-hello.yaml")
    assert (found.id, found.rev, found.title) == ("toy-hello", 2, "Toy greeting")
    assert (found.category, found.role, found.maturity) == (
        Category.MINING,
        Role.MINER,
        Maturity.STABLE,
    )
    assert (found.confidence, found.severity, found.coins) == (90, 1, ("TOY",))
    assert found.references == ("https://example.org/toy",)
    assert found.technique == "T1496.001"
    assert isinstance(found.condition, JsonCondition)
    assert found.condition.methods == ("hello",)
    assert (found.kind, found.fallback) == (Kind.LOGIN, True)
    assert found.condition.wallet_at == ("params", 0)
    assert found.condition.algo_at == ("params", "job", "algo")
    assert found.condition.members.test({"params": ["x"]})


def test_the_other_conditions() -> None:
    """Names on a list and noticed events are conditions too."""
    head = GOOD[: GOOD.index("when:")]
    name = compile_signature(
        (head + "when: {name: {field: tls.sni, list: pools}}\n").encode(), "toy-hello.yaml"
    )
    assert name.condition == NameCondition("tls.sni", "pools")
    assert (name.kind, name.fallback) == (Kind.NAME, False)
    event = compile_signature((head + "when: {event: ssh.banner}\n").encode(), "toy-hello.yaml")
    assert event.condition == EventCondition("ssh.banner")
    assert event.kind is Kind.EVENT


def test_methods_may_share_a_shape() -> None:
    """A list of methods is read in order; without a kind a message is a message."""
    text = GOOD.replace("method: hello", "method: [hello, hi]").replace("kind: login\n", "")
    found = compile_signature(text.encode(), "toy-hello.yaml")
    assert isinstance(found.condition, JsonCondition)
    assert found.condition.methods == ("hello", "hi")
    assert found.kind is Kind.MESSAGE


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("id: toy-hello", "id: toy-helo", r":1:5: id 'toy-helo' and file name differ"),
        ("rev: 2", "rev: two", r":2:6: 'rev' is a whole number from 1"),
        ("rev: 2", "rev: 0", r":2:6: 'rev'"),
        ("rev: 2", "rev: true", r":2:6: 'rev'"),
        ("title: ", "tittle: ", r":3:1: unknown field 'tittle'; did you mean 'title'"),
        ("title: Toy greeting\n", "", r":1:1: the field 'title' is missing"),
        ("category: mining", "category: minig", r":4:11: .*did you mean 'mining'"),
        ("role: miner", "role: [miner]", r":6:7: 'role'|:6:7: a text"),
        ("coins: [TOY]", "coins: TOY", r":7:8: 'coins' is a list"),
        ("confidence: 90", "confidence: 101", r":8:13: 'confidence' is a whole number from 0"),
        ("severity: 1", "severity: high", r":9:11: 'severity'"),
        ("maturity: stable", "maturity: Stable", r":10:11: .*did you mean 'stable'"),
        ("  json:", "  jason:", r":15:3: 'jason' is not a condition; did you mean 'json'"),
        ("    method: hello", "    methods: hello", r":16:5: unknown field 'methods'"),
        ("[string]", "[strng]", r":18:16: 'strng' is not a shape"),
        ("method: hello", "method: [a, a]", r":16:13: 'method' is a name, or a list"),
        ("method: hello", "method: a.b.*", r":16:13: 'a.b.\*': a '\*' stands behind one word"),
        ("method: hello", "method: hell*", r":16:13: 'hell\*': a '\*' stands behind one word"),
        ("method: hello", "method: []", r":16:13: 'method'"),
        ("params: [string]", "par?ams: string", r":18:7: 'par\?ams': a '\?' stands at the end"),
        ("params: [string]", "a?: string\n      a: any", r":18:7: 'a' is there with and without"),
        ("kind: login", "kind: logon", r":22:7: .*did you mean 'login'"),
        ("fallback: true", "fallback: perhaps", r":23:11: 'fallback' is true"),
        ("      wallet:", "      walet:", r":20:7: unknown field 'walet'"),
        ("detail: hello with a wallet", "detail: ''", r":13:9: a text of 1 to 400"),
    ],
)
def test_a_mistake_is_named_by_file_line_and_column(old: str, new: str, message: str) -> None:
    """The message begins with the file and leads to the very word."""
    assert old in GOOD
    with pytest.raises(PackError, match=r"toy/toy-hello\.yaml" + message):
        compiled(GOOD.replace(old, new, 1))


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("when: {}", "exactly one of"),
        ("when: {event: a, json: {method: b}}", "exactly one of"),
        ("when: {json: {}}", "write at least one of: method, members"),
        ("when: {json: {members: [string]}}", "without a method, 'members' is a mapping"),
        ("when: {json: {members: {a?: string}}}", "at least one member"),
        ("when: {name: {field: tls.sny, list: pools}}", "did you mean 'tls.sni'"),
        ("when: [json]", "a mapping was expected"),
    ],
)
def test_a_condition_that_says_nothing_is_refused(when: str, message: str) -> None:
    """A condition must be one, and must ask for something."""
    with pytest.raises(PackError, match=message):
        compiled(GOOD[: GOOD.index("when:")] + when + "\n")


def test_the_examples_in_the_documentation_compile() -> None:
    """Whoever copies an example from docs/signatures.md has a signature, or a condition."""
    page = (Path(__file__).parents[2] / "docs" / "signatures.md").read_text("utf-8")
    first, *others = re.findall(r"^```yaml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    found = compile_signature(first.encode(), "stratum/stratum-v1-submit.yaml")
    assert found.maturity is Maturity.STABLE
    conditions = [text for text in others if text.startswith("when:")]
    assert conditions
    for text in conditions:
        compiled(GOOD[: GOOD.index("when:")] + text)


def test_the_core_pack_asks_for_every_event(core: Pack) -> None:
    """What the language knows as an event the engine notices, and a signature waits for it."""
    asked = {
        one.condition.event
        for one in core.signatures.values()
        if isinstance(one.condition, EventCondition)
    }
    assert asked == set(EVENTS)
