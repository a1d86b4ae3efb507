"""JSON text read as leniently as the receivers that must not see what we did not."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.streams import LOGIN

from davylamp.inspection.jsontext import MAX_BATCH, read_objects, read_value
from davylamp.signatures.pack import Pack

# name, text, objects (None: not one JSON value)
CASES: list[tuple[str, bytes, list[dict[str, object]] | None]] = [
    ("an object", b'{"a":1}', [{"a": 1}]),
    ("white space around", b' {"a": 1}\r\n', [{"a": 1}]),
    ("escaped names", rb'{"\u0061":"\u0062"}', [{"a": "b"}]),
    ("a batch", b'[{"a":1},2,{"b":2}]', [{"a": 1}, {"b": 2}]),
    ("a repeated name is read both ways", b'{"a":1,"a":2}', [{"a": 2}, {"a": 1}]),
    ("repeated below", b'{"p":{"a":1,"a":2}}', [{"p": {"a": 2}}, {"p": {"a": 1}}]),
    ("control characters in a string", b'{"a":"\x01\t"}', [{"a": "\x01\t"}]),
    ("not UTF-8", b'{"a":"\xff"}', [{"a": "\ufffd"}]),
    ("no object", b'"text"', []),
    (
        "a number of 5,000 digits",
        b'{"id":' + b"9" * 5000 + b',"a":1}',
        [{"id": float("inf"), "a": 1}],
    ),
    (
        "names in other letters",
        b'{"Id":1,"METHOD":"a","param\\u017f":{"Login":"b","X":1}}',
        [
            {"Id": 1, "METHOD": "a", "param\u017f": {"Login": "b", "X": 1}},
            {"id": 1, "method": "a", "params": {"login": "b", "X": 1}},
            {"params": {"login": "b", "X": 1}, "method": "a", "id": 1},
        ],
    ),
    (
        "a name in two letterings is read both ways",
        b'{"method":"a","Method":"b"}',
        [{"method": "a", "Method": "b"}, {"method": "b"}, {"method": "a"}],
    ),
    ("letters that mean nothing", b'{"jobId":1,"Name":2}', [{"jobId": 1, "Name": 2}]),
    ("two values", b'{"a":1}{"b":2}', None),
    ("broken", b'{"a":', None),
    ("empty", b"", None),
]


@pytest.mark.parametrize(
    ("text", "objects"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_text_is_read_as_some_receiver_would(
    text: bytes, objects: list[dict[str, object]] | None
) -> None:
    """Each text gives the objects that a lenient receiver may act on."""
    assert read_value(text) == objects
    assert read_objects(text) == (objects or [])


@pytest.mark.parametrize("depth", [10, 65, 2_000, 60_000])
@pytest.mark.parametrize("brackets", [b"[]", b"{}"])
def test_a_deep_value_hides_nothing(core: Pack, depth: int, brackets: bytes) -> None:
    """A member nested deeper than Python's parser goes does not keep a login from being read."""
    opening, closing = (b"[", b"]") if brackets == b"[]" else (b'{"k":', b"}")
    deep = opening * depth + b'"\\"]}"' + closing * depth
    text = LOGIN.strip().replace(b'{"id"', b'{"x":' + deep + b',"id"')
    [message] = read_objects(text)
    assert "cryptonote-login" in {match.signature.id for match in core.match_message(message)}


def test_a_batch_is_read_to_its_bound() -> None:
    """An array of very many objects costs no more than its bound."""
    assert len(read_objects(b"[" + b"{}," * 10_000 + b"{}]")) == MAX_BATCH


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text(max_size=8), JSON, max_size=5))
def test_any_object_is_read_back(value: dict[str, object]) -> None:
    """What an ordinary encoder writes is read as it was meant."""
    assert read_objects(json.dumps(value).encode()) == [value]


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet='{}[]",:\\a1 \n', max_size=200).map(str.encode) | st.binary(max_size=200))
def test_any_text_gives_an_answer(text: bytes) -> None:
    """Nothing raises, whatever the bytes."""
    assert isinstance(read_objects(text), list)
