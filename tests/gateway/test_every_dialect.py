"""Each message of the core pack that blocks by itself, on the wire: no pool receives one whole."""

import json
from pathlib import Path

import pytest
from tests.gateway.world import POOL, World
from tests.streams import core_pack

from davylamp.accuracy.examples import Example, examples
from davylamp.accuracy.judge import Judge
from davylamp.flow import Direction
from davylamp.lab.topology import OUTSIDE
from davylamp.policy import Policy
from davylamp.signatures.disk import load_vectors

pytestmark = pytest.mark.lab

_TALK = Path(__file__).with_name("talk.py")
_VECTORS = Path(__file__).parents[1] / "signatures" / "core"
_FIRST = 20_000


def blocking() -> list[Example]:
    """Return the examples that a miner says alone and that policy blocks, one a connection."""
    pack = core_pack()
    judge = Judge(pack, Policy())
    found = []
    for example in examples(pack, load_vectors(_VECTORS)):
        if example.signature is None or len(example.messages) != 1:
            continue
        [message] = example.messages
        if message.direction is Direction.ORIGINATOR:
            told = judge.hear([(message.direction, message.data)])
            if any(one.blocked for one in told):
                found.append(example)
    return found


@pytest.mark.parametrize("way", ["whole", "bytes"])
def test_no_dialect_gets_a_request_through(world: World, way: str) -> None:
    """Whole or byte by byte, each is reset, and what its receiver has is not the message."""
    chosen = blocking()
    assert len({example.dialect for example in chosen}) >= 20
    sink = world.service(
        OUTSIDE, "sink", "sink", POOL[4], str(_FIRST), str(len(chosen)), script=_TALK
    )
    asked = world.directory / "asked.jsonl"
    lines = (
        json.dumps({"port": port, "way": way, "data": example.messages[0].data.hex()})
        for port, example in enumerate(chosen, _FIRST)
    )
    asked.write_text("\n".join(lines))
    talk = world.service("sandbox-1", "client", "client", POOL[4], str(asked), script=_TALK)
    talk.wait(170)
    outcomes = {line["port"]: line["outcome"] for line in talk.events("sent")}
    received = {line["port"]: bytes.fromhex(str(line["received"])) for line in sink.events("ended")}
    through = [
        example.name
        for port, example in enumerate(chosen, _FIRST)
        if outcomes.get(port) != "reset" or example.messages[0].text in received.get(port, b"")
    ]
    assert through == []
