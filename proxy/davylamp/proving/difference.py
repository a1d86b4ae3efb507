"""What changed between two versions of a pack, and whether the revisions say so."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from davylamp.signatures.model import Signature
from davylamp.signatures.pack import Pack


class Change(StrEnum):
    """How a signature or a list differs."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    REWORDED = "reworded"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference; ``fault`` says what is wrong with it, or is empty."""

    change: Change
    name: str
    says: str = ""
    fault: str = ""


def differences(old: Pack, new: Pack) -> Iterator[Difference]:
    """Yield what differs, signatures before lists, each in the order of their names."""
    for identity in sorted({*old.signatures, *new.signatures}):
        before, after = old.signatures.get(identity), new.signatures.get(identity)
        if before is None:
            assert after is not None
            yield Difference(Change.ADDED, identity, f"rev {after.rev}, {after.maturity}")
        elif after is None:
            yield Difference(Change.REMOVED, identity, f"was rev {before.rev}, {before.maturity}")
        elif difference := _changed(before, after):
            yield difference
    yield from _lists(old, new)


def _changed(old: Signature, new: Signature) -> Difference | None:
    """Tell how a signature changed; None where nothing did."""
    meaning = old.written != new.written
    fault = ""
    if new.rev < old.rev:
        fault = f"rev went back from {old.rev} to {new.rev}; write {old.rev + 1}"
    elif meaning and new.rev == old.rev:
        fault = f"its meaning changed and its rev did not; write rev: {old.rev + 1}"
    if not meaning and (old.title, old.detail, old.references) == (
        new.title,
        new.detail,
        new.references,
    ):
        if old.rev == new.rev:
            return None
        return Difference(Change.REWORDED, new.id, _revs(old, new), fault)
    change = Change.CHANGED if meaning else Change.REWORDED
    return Difference(change, new.id, f"{_revs(old, new)}: {', '.join(_fields(old, new))}", fault)


def _revs(old: Signature, new: Signature) -> str:
    return f"rev {old.rev}" if old.rev == new.rev else f"rev {old.rev} to {new.rev}"


def _fields(old: Signature, new: Signature) -> Iterator[str]:
    """Yield the names of the fields that differ, with both values where they are short."""
    plain = ("maturity", "confidence", "severity", "category", "kind", "role", "dialect")
    other = ("coins", "technique", "fallback", "title", "detail", "references")
    known = False
    for name in (*plain, *other):
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            known = True
            yield f"{name} {before} to {after}" if name in plain else name
    if not known or _condition(old) != _condition(new):
        yield "when"


def _condition(signature: Signature) -> str:
    return signature.written.partition('"when": ')[2]


def _lists(old: Pack, new: Pack) -> Iterator[Difference]:
    before = {**old.lists, **old.endpoint_lists}
    after = {**new.lists, **new.endpoint_lists}
    for name in sorted({*before, *after}):
        label = f"lists/{name}.tsv"
        if name not in before:
            yield Difference(Change.ADDED, label, f"{len(after[name]):,} entries")
        elif name not in after:
            yield Difference(Change.REMOVED, label, f"{len(before[name]):,} entries")
        else:
            one, two = set[object](before[name]), set[object](after[name])
            if one != two:
                gone, come = len(one - two), len(two - one)
                yield Difference(Change.CHANGED, label, f"{come:,} rows came, {gone:,} went")
