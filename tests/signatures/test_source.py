"""YAML is read with places, and without what a pack has no use for."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.errors import PackError
from davylamp.signatures.source import MAX_BYTES, Scalar, Sequence, Table, fault, read, suggest


def test_nodes_know_their_place() -> None:
    """Lines and columns count from 1, as editors show them."""
    node = read(b"a: 1\nb:\n  - x\n  - 'y'\n", "f.yaml")
    assert isinstance(node, Table)
    items = node.get("b")
    assert isinstance(items, Sequence)
    assert [str(item.place) for item in items.items] == ["f.yaml:3:5", "f.yaml:4:5"]
    assert node.get("c") is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("null", None),
        ("12", 12),
        ("-1.5", -1.5),
        ("no", "no"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("OK", "OK"),
        ("0", 0),
        ("1e3", 1000.0),
        *((word, word) for word in ("nan", "inf", "-Infinity", "007", "1_000", "+1", ".5", "0x1f")),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_constants_are_what_json_would_read(text: str, value: object) -> None:
    """Only plain true, false, null and numbers are special; no and on are words."""
    node = read(text.encode(), "f.yaml")
    assert isinstance(node, Scalar)
    assert node.constant() == value
    assert type(node.constant()) is type(value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a: 1\nb: 2\na: 3\n", r"f\.yaml:3:1: 'a' is written twice, first at f\.yaml:1:1"),
        (b"a: !!python/object:os.system x\n", r"f\.yaml:1:4: the tag"),
        (b"a: !x y\n", r"f\.yaml:1:4: the tag"),
        (b"a: &b [1]\n", r"f\.yaml:1:4: anchors and aliases"),
        (b"a: [1]\nc: *b\n", r"f\.yaml:2:4: (anchors and aliases|not YAML)"),
        (b"a: [1\n", r"f\.yaml:\d+:\d+: not YAML"),
        (b"a: 1\n---\nb: 2\n", r"f\.yaml:2:1: a second document"),
        (b"", r"f\.yaml:1:1: empty"),
        (b"# only a comment\n", r"f\.yaml:1:1: empty"),
        (b"a: 1\nb: \xff\n", r"f\.yaml:2:4: not UTF-8"),
        (b"? [a]\n: 1\n", r"f\.yaml:1:3: a key must be a plain word"),
        (b"a: \x00\n", r"f\.yaml:1:4: the control character U\+0000"),
        (
            "a: b\n\u00e4: \u00e4\x07\n".encode(),
            r'f\.yaml:2:5: .*U\+0007.* inside "..." as \\u0007',
        ),
        (b"a:\n\tb: 1\n", r"f\.yaml:2:1: not YAML: .*indent with spaces"),
        (b"a: *.b\n", r"f\.yaml:1:5: not YAML: .*quote a text that begins with \*"),
        (b"a: %b\n", r"f\.yaml:1:4: not YAML: .*quote a text that begins with %"),
        (b"[" * 40 + b"]" * 40, r"f\.yaml:1:26: nested deeper"),
        (b"[" * 100_000, r"f\.yaml"),
        (b"- 1\n" * 30_000, r"more than 20,000 values"),
        (b" " * (MAX_BYTES + 1), r"f\.yaml: 262,145 bytes"),
    ],
)
def test_what_is_not_read_is_refused_by_place(data: bytes, message: str) -> None:
    """Each refusal says where it is and what to write instead."""
    with pytest.raises(PackError, match=message):
        read(data, "f.yaml")


def test_a_laughing_bomb_is_refused_before_it_grows() -> None:
    """Anchors end the reading at the first of them, so nothing is ever expanded."""
    bomb = b"a: &a [x,x]\n" + b"".join(
        b"%c: &%c [*%c,*%c]\n" % (c, c, c - 1, c - 1) for c in range(ord("b"), ord("z"))
    )
    with pytest.raises(PackError, match=r"f\.yaml:1:4: anchors"):
        read(bomb, "f.yaml")


@given(st.binary(max_size=200) | st.text(alphabet="ab:-[]{}&*!'\"#|> \n?,", max_size=80))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_or_refused(data: bytes | str) -> None:
    """Whatever a file holds, the answer is nodes or a PackError."""
    with suppress(PackError):
        read(data if isinstance(data, bytes) else data.encode(), "f.yaml")


def test_a_fault_names_the_place_first() -> None:
    """Messages begin as compilers' do, so that editors jump there."""
    assert str(fault(read(b"x", "f.yaml").place, "no")) == "f.yaml:1:1: no"


def test_a_misspelt_word_gets_the_nearest() -> None:
    """A near miss is suggested; for anything else the choices are listed."""
    assert suggest("tittle", ("title", "rev")) == "did you mean 'title'?"
    assert suggest("zzz", ("title", "rev")) == "write one of: rev, title"
