"""What is wrong with a pack though it compiles: what a reviewer would ask."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from davylamp.proving.scaffold import PLACEHOLDER
from davylamp.signatures.listed import surer
from davylamp.signatures.model import (
    Category,
    CertificateCondition,
    CombinedCondition,
    Condition,
    EndpointCondition,
    JsonCondition,
    Kind,
    Maturity,
    NameCondition,
    Signature,
    SignatureId,
)
from davylamp.signatures.pack import Pack
from davylamp.signatures.source import Place

CROWD = 48
"""Signatures at one place of an index above which a message pays for them."""

BLOCKS_ALONE = 80


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to look at."""

    place: Place
    says: str


def remarks(pack: Pack, proved: AbstractSet[SignatureId], now: float) -> Iterator[Remark]:
    """Yield what there is to say of a pack.

    ``proved`` are the signatures that have vectors; ``now`` is seconds since the epoch.
    """
    for signature in pack.signatures.values():
        place = _place(signature)
        for says in _of_signature(signature):
            yield Remark(place, says)
        if signature.id not in proved:
            yield Remark(place, "no vectors; `davylamp pack new` shows how they are written")
    yield from _silenced(pack)
    yield from _crowds(pack)
    yield from _lists(pack, now)


def _of_signature(signature: Signature) -> Iterator[str]:
    if not signature.references:
        yield "no references: say where the fact is from"
    elif PLACEHOLDER in signature.references:
        yield f"{PLACEHOLDER} is the scaffold's reference: say where the fact is from"
    if signature.category is Category.MINING and not signature.technique:
        yield "no technique: mining is T1496.001"
    condition = signature.condition
    if (
        isinstance(condition, CertificateCondition)
        and not (condition.digests or condition.names)
        and condition.self_signed is not True
    ):
        yield "asks for an issuer alone: that is everything it has ever signed; add a name"
    stable = signature.maturity is Maturity.STABLE
    if not stable and signature.confidence >= BLOCKS_ALONE:
        yield (
            f"confidence {signature.confidence} of a signature that is {signature.maturity}; "
            f"say less than {BLOCKS_ALONE} until it is stable"
        )
    if (
        signature.category is Category.MINING
        and signature.kind is Kind.MESSAGE
        and isinstance(signature.condition, JsonCondition)
        and signature.confidence >= BLOCKS_ALONE
    ):
        yield "no kind: what it finds supports no other finding of the flow"


def _simple(condition: Condition) -> Iterator[Condition]:
    if isinstance(condition, CombinedCondition):
        yield from (leaf.condition for leaf in condition.leaves())
    else:
        yield condition


def _silenced(pack: Pack) -> Iterator[Remark]:
    """Yield the signatures that are never told, because a surer one asks for the same list."""
    answers: dict[Condition, Signature] = {}
    asking = [
        one
        for one in pack.signatures.values()
        if isinstance(one.condition, NameCondition | EndpointCondition)
        and one.maturity is not Maturity.SANDBOX
    ]
    for signature in asking:
        answers[signature.condition] = surer(answers.get(signature.condition), signature)
    for signature in asking:
        told = answers[signature.condition]
        if told is not signature:
            says = f"{told.id} asks for the same list and is surer: this one is never told"
            yield Remark(_place(signature), says)


def _crowds(pack: Pack) -> Iterator[Remark]:
    """Yield where so many signatures are filed at one place that a flow pays for their number."""
    for word, signatures in pack.indexes.places():
        if len(signatures) > CROWD:
            one = next((one for one in signatures if one.place), None)
            place = _place(one) if one else Place(pack.name, 1, 1)
            yield Remark(
                place,
                f"{len(signatures)} signatures are looked up under the same: {word}; add what "
                "tells them apart (a method, a fixed value, a longer literal)",
            )


def _lists(pack: Pack, now: float) -> Iterator[Remark]:
    used = {
        condition.list
        for signature in pack.signatures.values()
        for condition in _simple(signature.condition)
        if isinstance(condition, NameCondition | EndpointCondition)
    }
    for name in sorted({*pack.lists, *pack.endpoint_lists} - used):
        yield Remark(Place(f"lists/{name}.tsv", 1, 1), "no signature asks for this list")
    for name, entries in sorted(pack.endpoint_lists.items()):
        old = sum(entry.expires <= now for entry in entries)
        if old:
            yield Remark(
                Place(f"lists/{name}.tsv", 1, 1),
                f"{old} of {len(entries)} entries have expired: check them again or take them out",
            )


def _place(signature: Signature) -> Place:
    return signature.place or Place(f"{signature.id}.yaml", 1, 1)
