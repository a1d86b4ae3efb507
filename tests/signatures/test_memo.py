"""A pack compiled with what an earlier one came to is the pack that its own files make."""

import pytest
from tests.inspection.test_tlsserver import SIGNATURE

from davylamp.errors import PackError
from davylamp.signatures.memo import Memo
from davylamp.signatures.model import SignatureId
from davylamp.signatures.pack import Pack, load

POOLS = b"pool.test\tendpoint\tconfirmed\tXMR\tpool\tmade-up\t2026-11-01\n"


def files(**methods: str) -> dict[str, bytes]:
    """Return a pack of signatures by name, each of one method."""
    made = {
        f"x/{name}.yaml": SIGNATURE.format(name, f"{{json: {{method: {method}}}}}").encode()
        for name, method in methods.items()
    }
    return {"pack.yaml": b"name: t\nversion: 2026.1.1\nformat: 1\n", "lists/p.tsv": POOLS, **made}


def met(pack: Pack) -> dict[str, list[str]]:
    """Return which signatures a message of each method meets, where it meets any."""
    methods = ("m.a", "m.b", "m.c", "m.d", "m.other")
    found = {one: pack.match_message({"method": one}) for one in methods}
    return {one: [match.signature.id for match in those] for one, those in found.items() if those}


A, B = SignatureId("a"), SignatureId("b")


def test_only_what_changed_is_compiled() -> None:
    """What stayed is the same object; the pack does what one does that is compiled from nothing."""
    memo = Memo()
    first = load(files(a="m.a", b="m.b", c="m.c"), memo)
    then = files(a="m.a", b="m.other", d="m.d")
    second = load(then, memo)
    assert met(second) == met(load(then)) == {"m.a": ["a"], "m.other": ["b"], "m.d": ["d"]}
    assert second.lists == first.lists
    assert second.lists["p"] is first.lists["p"]
    kept = [one for one in second.signatures if second.signatures[one] is first.signatures.get(one)]
    assert kept == [A]


def test_nothing_is_remembered_that_the_last_pack_has_not() -> None:
    """A file that was away for one pack is compiled again."""
    memo = Memo()
    first = load(files(a="m.a", b="m.b"), memo)
    load(files(a="m.a"), memo)
    third = load(files(a="m.a", b="m.b"), memo)
    assert third.signatures[A] is first.signatures[A]
    assert third.signatures[B] is not first.signatures[B]


def test_a_pack_that_cannot_be_used_changes_nothing() -> None:
    """What was known before it is known after it."""
    memo = Memo()
    first = load(files(a="m.a", b="m.b"), memo)
    with pytest.raises(PackError):
        load(files(a="m.a", b="{"), memo)
    assert load(files(b="m.b"), memo).signatures[B] is first.signatures[B]


def test_the_same_bytes_elsewhere_are_another_file() -> None:
    """What a file comes to depends on its name, which messages and places give."""
    memo = Memo()
    given = files(a="m.a")
    first = load(given, memo)
    given["y/a.yaml"] = given.pop("x/a.yaml")
    assert load(given, memo).signatures[A] is not first.signatures[A]
