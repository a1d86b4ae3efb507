"""Vector files are read strictly, and the pack's own lookups agree with every one of them."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from davylamp.errors import PackError
from davylamp.flow import Direction
from davylamp.paths import SIGNATURES
from davylamp.signatures.disk import load_vectors
from davylamp.signatures.model import JsonCondition, SignatureId
from davylamp.signatures.pack import Pack
from davylamp.signatures.vectors import Bytes, Name, Noticed, Vector, feedings, parse_vectors

HERE = Path(__file__).parent


def messages(step: Bytes) -> Iterator[dict[str, object]]:
    """Yield the JSON objects that stand on lines of their own."""
    for line in step.data.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value


def fired(pack: Pack, vector: Vector) -> set[SignatureId]:
    """Return the ids that the pack's lookups give for a vector."""
    ids: set[SignatureId] = set()
    for step in vector.steps:
        match step:
            case Bytes():
                for message in messages(step):
                    ids |= {match.signature.id for match in pack.match_message(message)}
            case Name(field, name):
                if found := pack.match_name(field, name):
                    ids.add(found.signature.id)
            case Noticed(event):
                if signature := pack.match_event(event):
                    ids.add(signature.id)
    return ids


def test_every_signature_has_vectors(core: Pack) -> None:
    """A signature without a match and a near miss, each with its source, fails the suite."""
    outcomes: dict[SignatureId, set[bool]] = defaultdict(set)
    for identity, vector in load_vectors(HERE / "core"):
        assert vector.source
        outcomes[identity].add(vector.fires)
    assert dict(outcomes) == {identity: {True, False} for identity in core.signatures}


def test_vectors_lie_beside_their_family() -> None:
    """A vector file has the same family folder and name as its signature's file."""
    for file in (HERE / "core").rglob("*.yaml"):
        assert (SIGNATURES / "core" / file.relative_to(HERE / "core")).is_file(), file


def only_inspected(pack: Pack, identity: SignatureId, vector: Vector) -> bool:
    """Tell what a lookup cannot read but the inspector can: test_vectors_inspected has it."""
    on_the_wire = any(isinstance(step, Bytes) for step in vector.steps)
    return on_the_wire and not isinstance(pack.signatures[identity].condition, JsonCondition)


def test_an_example_fires_as_it_says(everything: Pack, example: tuple[SignatureId, Vector]) -> None:
    """A match vector fires its signature, a near miss does not."""
    identity, vector = example
    if not only_inspected(everything, identity, vector):
        assert (identity in fired(everything, vector)) is vector.fires


def test_nothing_else_fires(core: Pack, example: tuple[SignatureId, Vector]) -> None:
    """A vector fires no other signatures than it lists; the inspector fires each of those."""
    identity, vector = example
    if not only_inspected(core, identity, vector):
        assert fired(core, vector) - {identity} <= set(vector.also)


def test_a_neighbour_fires_nothing(core: Pack, neighbour: tuple[SignatureId, Vector]) -> None:
    """Software that is no miner fires nothing, even where it uses a miner's words."""
    assert fired(core, neighbour[1]) == set()


def test_feedings_keep_the_bytes() -> None:
    """Every feeding carries the same bytes in the same order, by the same ends."""
    stream = (Bytes(Direction.ORIGINATOR, b"abc"), Bytes(Direction.RESPONDER, b"de"))
    found = list(feedings(stream))
    assert len(found) == 2 + 2 + 1
    for _, feeding in found:
        for end in Direction:
            sent = b"".join(step.data for step in feeding if step.direction is end)
            assert sent == b"".join(step.data for step in stream if step.direction is end)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: x", "a vector file is a list"),
        ("- name: x\n  stream: []", "write 'name'"),
        ("- {name: x, source: y, stream: [{client: a}], expect: maybe}", "match or none"),
        ("- {name: x, source: y, stream: [{clinet: a}], expect: none}", "a step is client"),
        ("- {name: x, source: y, stream: [{client: {hex: 1}}], expect: none}", "pairs of"),
        ("- {name: x, source: y, stream: [{client: ''}], expect: none}", "nothing is sent"),
        ("- {name: x, source: y, stream: [{event: ssh.baner}], expect: none}", "'ssh.banner'"),
        (
            "- {name: x, source: y, stream: [{name: {sni: a.b}}], expect: none}",
            "nothing that is seen",
        ),
        ("- {name: x, source: y, strem: [], expect: none}", "did you mean 'stream'"),
        ("- {name: x, source: y, stream: [{client: a}], expect: none, also: z}", "a list of"),
    ],
)
def test_a_vector_that_cannot_be_read_says_why(text: str, says: str) -> None:
    """A mistake in a vector file is named with its place."""
    with pytest.raises(PackError, match=says) as caught:
        parse_vectors(text.encode(), "v.yaml")
    assert str(caught.value).startswith("v.yaml:1:")
