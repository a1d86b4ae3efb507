"""Shapes: each word, list, mapping and operator, and what the compiler refuses."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.errors import PackError
from davylamp.signatures.shape import Shape, compile_shape
from davylamp.signatures.source import read


def shape(text: str) -> Shape:
    """Compile a shape written as YAML."""
    return compile_shape(read(text.encode(), "s.yaml"))


H64 = "ab" * 32
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        ("any", [None, 1, "x", [], {}], []),
        ("string", ["", "x"], [None, 1, True, [], {}]),
        ("string:1-", ["x", "x" * 999], ["", None]),
        ("string:2-3", ["ab", "abc"], ["a", "abcd"]),
        ("number", [0, -1, 1.5], [True, "1", None]),
        ("integer", [0, 7], [1.0, True, "1"]),
        ("bool", [True, False], [0, 1, None]),
        ("'null'", [None], [0, "", False]),
        ("object", [{}], [[], None]),
        ("array", [[], [1]], [{}, "ab"]),
        ("array:0", [[]], [[1]]),
        ("hex", ["", "0aF"], ["0x0a", "g", " ", 10]),
        ("hex:8", ["1a2b3c4d"], ["1a2b3c4", "1a2b3c4dd", "1a2b3c4g", "1a2b 3c4"]),
        ("hex:8-16", ["1a2b3c4d", "1a2b3c4d1a2b3c4d"], ["1a2b3c4", "1" * 17]),
        ("hex:4-", ["abcd", "a" * 5000], ["abc"]),
        ("0xhex:64", ["0x" + H64], [H64, "0x" + H64[1:], "0x" + "g" * 64]),
        ("0xhex", ["0x", "0X1f"], ["x1f", "", "0"]),
        ("wallet", ["0x" + "ab" * 20 + ".rig"], ["ann", 5, ""]),
        ("wallet:90-", ["4" + "A" * 94], ["0x" + "ab" * 20]),
        ("agent", ["XMRig/6.26.0", "cgminer"], ["curl/8", 5]),
        ("algo", ["rx/0", "cn-heavy/xhv"], ["sha256", 5]),
        ("worker", ["0x" + "ab" * 20 + ".rig"], ["0x" + "ab" * 20, "ann.rig", "www.a.org", 5]),
        ("digits:1-3", ["0", "123"], ["", "1234", "1a", "-1", "\u0663", 12]),
        ("string|null", ["", None], [1]),
        ("[string, integer]", [["a", 1]], [["a"], ["a", 1, 2], ["a", "1"], "a1", {}]),
        ("[string, integer?]", [["a"], ["a", 1]], [[], ["a", None], ["a", 1, 1]]),
        ("[hex:2, ...]", [["ab"], ["ab", "cd"]], [[], ["ab", "c"]]),
        ("['hex:2?', ...]", [[], ["ab"], ["ab"] * 9], [["ab", ""]]),
        ("[string, {$optional: [integer]}]", [["a"], ["a", [1]]], [["a", 1]]),
        (
            "{a: string, b?: integer}",
            [{"a": ""}, {"a": "", "b": 1, "c": 2}],
            [{}, {"a": "", "b": ""}],
        ),
        ("{}", [{}, {"a": 1}], [[], None]),
        ("{$const: OK}", ["OK"], ["ok", None]),
        ("{$const: 1}", [1], [True, 1.0, "1"]),
        ("{$const: null}", [None], [0, False]),
        ("{$in: [a, 2, false]}", ["a", 2, False], [0, "2", None, [], {}]),
        ("{$starts_with: mining.}", ["mining.x"], ["minin", 1]),
        ("{$starts_with: [a, b]}", ["ax", "b"], ["c"]),
        ("{$one_of: [string, [integer]]}", ["x", [1]], [1, ["x"]]),
        ("{$some: hex:4}", [["x", "00ff"], {"a": 1, "b": "00ff"}], [[], ["x"], {}, "00ff", None]),
        ("{$all_of: [hex:4, {$starts_with: '00'}]}", ["00ff"], ["ff00", "00f"]),
    ],
)
def test_a_shape_says_yes_and_no(text: str, yes: list[object], no: list[object]) -> None:
    """Each form of the grammar accepts what its description says and nothing else."""
    test = shape(text).test
    assert [value for value in yes if not test(value)] == []
    assert [value for value in no if test(value)] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("strng", r"s\.yaml:1:1: 'strng' is not a shape; did you mean 'string'"),
        ("{a: strng}", r"s\.yaml:1:5: 'strng'"),
        ("mining.submit", r"a fixed value is \{\$const"),
        ("'hex:'", r"'' is not a size"),
        ("hex:x", r"'x' is not a size"),
        ("hex:8-4", r"the smaller number first"),
        ("bool:4", r"'bool' takes no size"),
        ("string?", r"a '\?' has a meaning only on"),
        ("[string?, string]", r"s\.yaml:1:11: only the last items may be optional"),
        ("['...']", r"write that item first"),
        ("{$conts: 1}", r"did you mean '\$const'"),
        ("{$const: [1]}", r"a fixed value must be"),
        ("{$in: x}", r"takes a list"),
        ("{$one_of: []}", r"at least one item"),
        ("{$starts_with: [[a]]}", r"a string, or a list of strings"),
        ("{$const: 1, b: string}", r"must stand alone"),
        ("{b: string, $const: 1}", r"must stand alone"),
        ("{$optional: string}", r"only on a list item"),
        ("[[[[[[[[[[string]]]]]]]]]]", r"may nest 8 deep"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(text: str, message: str) -> None:
    """The compiler says where the mistake is and what to write instead."""
    with pytest.raises(PackError, match=message):
        shape(text)


def test_a_shape_tells_an_index_what_to_file_it_by() -> None:
    """Required members and arity are kept; optional members are not required."""
    found = shape("{params: [string, string?], id?: any}")
    assert [name for name, _ in found.members] == ["params"]
    assert found.members[0][1].arity == (1, 2)
    assert shape("[string, ...]").arity == (1, None)
    assert shape("{$one_of: [[string], [string, string, string]]}").arity == (1, 3)
    assert shape("{$one_of: [[string], string]}").arity is None
    assert shape("{$all_of: [{a: any}, {b: any}]}").members[1][0] == "b"


@given(JSON)
@settings(max_examples=200, deadline=None)
def test_no_value_makes_a_shape_raise(value: object) -> None:
    """Whatever JSON brings, a shape answers yes or no."""
    for text in (
        "{a: [hex:2, {$optional: {b: any}}]}",
        "{$in: [a, 1]}",
        "[wallet|null, ...]",
        "{$some: {$some: worker|digits}}",
    ):
        assert shape(text).test(value) in (True, False)


def test_a_deep_value_is_not_followed_deeper_than_the_shape() -> None:
    """A value nested thousands deep costs what the shape looks at."""
    deep: object = "x"
    for _ in range(100_000):
        deep = [deep]
    assert shape("[[string]]").test(deep) is False
    assert shape("[any]").test(deep) is True
    while isinstance(deep, list):  # taken apart by hand: freeing it would recurse
        deep = deep.pop()


def test_a_long_member_is_read_once() -> None:
    """A hexadecimal megabyte is one pass, with one wrong digit at its end found."""
    test = shape("hex").test
    assert test("a" * 1_000_000)
    assert not test("a" * 1_000_000 + "ga")
