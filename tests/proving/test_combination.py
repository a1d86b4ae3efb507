"""What `davylamp pack test` says of a combination that an example does not meet."""

import pytest

from davylamp.flow import Direction
from davylamp.proving.combination import unmet
from davylamp.signatures.conditions import compile_condition
from davylamp.signatures.model import CombinedCondition
from davylamp.signatures.source import read

WRITTEN = b"""\
all_of:
  - line: {from: client, starts_with: "TOY,"}
  - any_of:
      - line: {from: server, starts_with: "WORK,"}
      - json: {from: server, method: toy.work}
  - not:
      condition: {line: {from: client, starts_with: "TOY,test"}}
      enough: 64
"""
MORE = b"x" * 64 + b"\n"
CLIENT = 'not met: {"line": {"from": "client", "starts_with": "TOY,"}}'
WORK = 'not met: {"line": {"from": "server", "starts_with": "WORK,"}}'
JSON = 'not met: {"json": {"from": "server", "method": "toy.work"}}'
TEST = 'not: this is there: {"line": {"from": "client", "starts_with": "TOY,test"}}'


@pytest.mark.parametrize(
    ("client", "server", "expected"),
    [
        (b"TOY,1\n" + MORE, b"WORK,1\n", []),
        (b"TOY,1\n" + MORE, b'{"method": "toy.work"}\n', []),
        (MORE, b"WORK,1\n", [CLIENT]),
        (b"TOY,1\n" + MORE, b"", [WORK, JSON]),
        (b"TOY,1" + MORE.strip(), b"WORK,1\n", [CLIENT]),
        (b"TOY,1\n", b"WORK,1\n", ["not: waits for 64 bytes of the client, and there are 6"]),
        (b"TOY,test\n" + MORE, b"WORK,1\n", [TEST]),
    ],
    ids=["met", "other-way", "client", "server", "no-line-break", "too-little", "not"],
)
def test_each_part_that_is_not_met_is_said(
    client: bytes, server: bytes, expected: list[str]
) -> None:
    """And none that is; of ``any_of`` all parts, where there is not one."""
    node = read(WRITTEN, "toy.yaml")
    condition = compile_condition(node)
    assert isinstance(condition, CombinedCondition)
    said = {Direction.ORIGINATOR: client, Direction.RESPONDER: server}
    assert list(unmet(node, condition.tree, said)) == expected
