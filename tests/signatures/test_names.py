"""Name lists: reading, and the lookup by suffix."""

from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.errors import PackError
from davylamp.signatures.names import (
    MAX_LOOKUPS,
    Grade,
    Kind,
    NameEntry,
    candidates,
    find,
    parse_names,
)

ROW = "pool.example.org\tendpoint\tconfirmed\tXMR,BTC\tExample\tconfigs\t2026-11-23"


class Counting(Mapping[str, int]):
    """A table that counts how often it is asked."""

    def __init__(self, table: dict[str, int]) -> None:
        self.table = table
        self.asked = 0

    def __getitem__(self, key: str) -> int:
        self.asked += 1
        return self.table[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.table)

    def __len__(self) -> int:
        return len(self.table)


def test_a_row_is_an_entry() -> None:
    """Seven columns become the seven fields; comments and empty lines are nothing."""
    assert parse_names(f"# comment\n\n{ROW}\n".encode(), "l.tsv") == (
        NameEntry(
            "pool.example.org",
            Kind.ENDPOINT,
            Grade.CONFIRMED,
            ("XMR", "BTC"),
            "Example",
            "configs",
            "2026-11-23",
        ),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ROW.replace("\t", " "), r"l\.tsv:1:1: 1 columns; write 7"),
        (ROW + "\tx", r"8 columns"),
        (ROW.replace("pool.", "Pool."), r"'Pool\.example\.org' is not a host name"),
        (ROW.replace("pool.example.org", "http://pool.example"), r"no scheme, no port"),
        (ROW.replace("pool.example.org", "pool.example:3333"), r"no scheme, no port"),
        (ROW.replace("pool.example.org", "org"), r"is not a host name"),
        (ROW.replace("pool.example.org", "*.*.example.org"), r"is not a host name"),
        (ROW.replace("endpoint", "host"), r"kind is one of endpoint, mixed, website"),
        (ROW.replace("confirmed", "sure"), r"grade is one of confirmed"),
        (f"{ROW}\n{ROW}", r"l\.tsv:2:1: 'pool\.example\.org' is also on line 1"),
    ],
)
def test_a_row_that_cannot_be_read_says_why(text: str, message: str) -> None:
    """The line is named, and what to write instead."""
    with pytest.raises(PackError, match=message):
        parse_names(text.encode(), "l.tsv")


def test_only_confirmed_endpoints_may_block() -> None:
    """Candidates, mixed hosts and websites never block, and are less sure."""
    allowed = {
        (kind, grade)
        for kind in Kind
        for grade in Grade
        if NameEntry("a.b", kind, grade, (), "", "", "").may_block
    }
    assert allowed == {(Kind.ENDPOINT, Grade.CONFIRMED)}
    assert NameEntry("a.b", Kind.ENDPOINT, Grade.CONFIRMED, (), "", "", "").confidence >= 80
    for kind, grade in {(kind, grade) for kind in Kind for grade in Grade} - allowed:
        assert NameEntry("a.b", kind, grade, (), "", "", "").confidence < 80


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a.example.org", 1),
        ("A.Example.ORG.", 1),
        ("b.example.org", 2),
        ("x.y.example.org", 2),
        ("example.org", None),
        ("x.a.example.org", 2),
        ("notexample.org", None),
        ("a.example.org.evil.test", None),
        ("www.deep.example.org", 3),
        ("x" * 300 + ".example.org", None),
        ("", None),
        (".", None),
        ("..example.org", 2),
    ],
)
def test_the_longest_name_wins(name: str, found: int | None) -> None:
    """A host row covers that host alone, a wildcard row what is beneath it."""
    table = {"a.example.org": 1, "*.example.org": 2, "*.deep.example.org": 3}
    assert find(table, name) == found


def test_a_name_of_many_labels_still_meets_its_wildcard() -> None:
    """Labels beyond the tenth are cut from the left, where no entry reaches."""
    assert find({"*.pool.test": 1}, ".".join("abcdefghijklmnop") + ".pool.test") == 1
    assert find({"b.c.d.e.f.g.h.pool.test": 1}, "a.b.c.d.e.f.g.h.pool.test") is None


@given(st.text(max_size=300) | st.lists(st.sampled_from("ab."), max_size=250).map("".join))
@settings(max_examples=200, deadline=None)
def test_a_lookup_asks_at_most_ten_times(name: str) -> None:
    """However a name is made, the cost is bounded and nothing is raised."""
    table = Counting({})
    assert find(table, name) is None
    assert table.asked <= MAX_LOOKUPS
    assert all(key == key.lower() for key in candidates(name) if key.isascii())
