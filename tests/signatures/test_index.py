"""The index finds what testing every signature would, at a cost that ignores the pack's size."""

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.signatures.compile import compile_signature
from davylamp.signatures.disk import load_vectors
from davylamp.signatures.index import MessageIndex
from davylamp.signatures.model import JsonCondition, Maturity, Signature, SignatureId
from davylamp.signatures.pack import Pack
from davylamp.signatures.vectors import Bytes

SEEDS = [
    value
    for _, vector in load_vectors(Path(__file__).parent / "core")
    for step in vector.steps
    if isinstance(step, Bytes) and step.data.startswith(b"{") and step.data.count(b"\n") == 1
    for value in [json.loads(step.data)]
]


def indexed(signatures: Iterable[Signature]) -> MessageIndex:
    """Return an index over the JSON conditions of some signatures."""
    return MessageIndex(
        (one, one.condition) for one in signatures if isinstance(one.condition, JsonCondition)
    )


def asks_for(methods: tuple[str, ...], method: object) -> bool:
    """Tell whether a method is one of a condition's, or of a family of methods it names."""
    families = tuple(name[:-1] for name in methods if name.endswith(".*"))
    return not methods or method in methods or str(method).startswith(families)


def by_force(pack: Pack, message: Mapping[str, object]) -> set[SignatureId]:
    """Test every JSON signature of a pack, without any index."""
    found = [
        one
        for one in pack.signatures.values()
        if isinstance(one.condition, JsonCondition)
        and asks_for(one.condition.methods, message.get("method"))
        and one.condition.members.test(message)
    ]
    own = {one.id for one in found if not one.fallback}
    if any(one.maturity is Maturity.STABLE for one in found if one.id in own):
        return own
    last = [one for one in found if one.fallback]
    last.sort(key=lambda one: (one.maturity is not Maturity.STABLE, -one.confidence, one.id))
    return own | {one.id for one in last[:1]}


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_the_index_agrees_with_testing_everything(everything: Pack, data: st.DataObject) -> None:
    """Whatever members two messages exchange, no match is lost and none is made up."""
    message = dict(data.draw(st.sampled_from(SEEDS)))
    other = data.draw(st.sampled_from(SEEDS))
    for name in data.draw(st.lists(st.sampled_from(["method", "params", "result", "id"]))):
        if name in other:
            message[name] = other[name]
        else:
            message.pop(name, None)
    params = message.get("params")
    if isinstance(params, list) and params and data.draw(st.booleans()):
        message["params"] = params[: data.draw(st.integers(0, len(params)))]
    found = [match.signature.id for match in everything.match_message(message)]
    assert len(found) == len(set(found))
    assert set(found) == by_force(everything, message)


def test_candidates_do_not_grow_with_the_pack(core: Pack) -> None:
    """Ten thousand more signatures leave the work for a message as it was."""
    template = b"""\
{id: toy, rev: 1, title: t, category: mining, dialect: d, role: miner, confidence: 90, severity: 1,
 maturity: stable, detail: d, when: {json: {%s}}}"""

    def toys(condition: str) -> list[Signature]:
        return [
            replace(
                compile_signature(template % (condition % number).encode(), "toy.yaml"),
                id=SignatureId(f"toy-{number}"),
            )
            for number in range(500)
        ]

    crowd = [
        *core.signatures.values(),
        *toys("method: toy.m%d, members: {params: [string]}"),
        *toys("members: {params: {toy_member_%d: string}}"),
        *toys("members: {result: {common: any, other_%d: string}}"),
        *toys("members: {type: {$const: toy-%d}, result: any}"),
        *toys("members: {params: {algo: {$const: toy-%d}}}"),
        *toys("members: {params: [{$const: toy-%d}, string, string, string, string]}"),
    ]
    small, large = indexed(core.signatures.values()), indexed(crowd)
    for message in SEEDS:
        before = [one.id for one, _ in small.candidates(message)]
        assert [one.id for one, _ in large.candidates(message)] == before
        assert len(before) <= 16


TOY = """\
{id: toy, rev: 1, title: t, category: mining, dialect: d, role: miner, confidence: 90, severity: 1,
 maturity: stable, detail: d, when: %s}"""


def found_by(when: str, message: Mapping[str, object]) -> list[str]:
    """Return the candidates of an index with one signature."""
    index = indexed([compile_signature((TOY % when).encode(), "toy.yaml")])
    return [one.id for one, _ in index.candidates(message)]


def test_a_method_and_its_family_find_a_message_once() -> None:
    """What a condition names twice is one candidate, and a family is of methods with a dot."""
    when = "{json: {method: [mining.submit, mining.*, login]}}"
    assert found_by(when, {"method": "mining.submit"}) == ["toy"]
    assert found_by(when, {"method": "login"}) == ["toy"]
    assert found_by(when, {"method": "mining"}) == []


def test_a_list_of_any_length_is_looked_for_where_it_stands() -> None:
    """A message without the member costs nothing."""
    when = "{json: {members: {shares: [string, ...]}}}"
    assert found_by(when, {"result": 1}) == []
    assert found_by(when, {"shares": ["a", "b"]}) == ["toy"]


def test_places_have_one_order() -> None:
    """What a pack is compiled to does not depend on how strings are hashed."""
    script = """
import sys
from davylamp.signatures.pack import load
one = sys.argv[1].encode()
pack = load({"pack.yaml": b"{name: t, version: 1, format: 1}", "toy.yaml": one})
print([word for word, _ in pack.indexes.places()])
print([part.id for part in pack.indexes.combinations.parts])
"""
    when = (
        "{any_of: [{json: {members: {a: {$in: [a, b, c, 1, null]}}}}, {event: ssh.banner},"
        " {line: {starts_with: abcd}}]}"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", script, TOY % when],
            env={"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(told) == 1


def test_a_condition_without_anything_to_file_it_by_is_always_a_candidate() -> None:
    """A method alone is enough of a condition."""
    text = (
        b"{id: toy, rev: 1, title: t, category: mining, dialect: d, role: miner, confidence: 90,"
        b" severity: 1, maturity: stable, detail: d, when: {json: {method: toy}}}"
    )
    index = indexed([compile_signature(text, "toy.yaml")])
    assert [one.id for one, _ in index.candidates({"method": "toy"})] == ["toy"]
    assert index.candidates({"method": ["toy"]}) == []
