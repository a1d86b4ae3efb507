"""What is said of a value that does not fit is the deepest part that differs."""

import pytest

from davylamp.proving.misfit import misfit
from davylamp.signatures.shape import compile_shape
from davylamp.signatures.source import read

SHAPE = b"""\
id: any
params: [string, "hex:8", {$optional: {a: integer}}]
result?:
  $all_of: [{job: {target: hex:8}}, {job: {blob: string}}]
more?: [digits, ...]
"""


@pytest.mark.parametrize(
    ("value", "at", "got"),
    [
        ({"id": 1}, "params", "no such member"),
        ({"id": 1, "params": {}}, "params", "{}"),
        ({"id": 1, "params": ["a", "0000000g"]}, "params[1]", '"0000000g"'),
        ({"id": 1, "params": ["a"]}, "params", '["a"]'),
        ({"id": 1, "params": ["a", "00000000", {"a": 1.5}]}, "params[2].a", "1.5"),
        (
            {"id": 1, "params": ["a", "00000000"], "result": {"job": {"target": "00000000"}}},
            "result.job.blob",
            "no such member",
        ),
        ({"id": 1, "params": ["a", "00000000"], "more": ["1", "2", "x"]}, "more[2]", '"x"'),
        ([], "the message", "[]"),
    ],
)
def test_the_deepest_difference_is_named(value: object, at: str, got: str) -> None:
    """The path leads to it, and its place in the file is the shape's."""
    found = misfit(read(SHAPE, "x.yaml"), value)
    assert found is not None
    assert (found.at, found.got) == (at, got)
    assert found.place.file == "x.yaml"


def test_it_agrees_with_the_engine() -> None:
    """Nothing is said of what fits."""
    fits = {"id": 1, "params": ["a", "00000000"], "more": ["1"]}
    node = read(SHAPE, "x.yaml")
    assert compile_shape(node).test(fits)
    assert misfit(node, fits) is None
