"""What several sources say of one hold, and what it amounts to together.

The strategy: a hold keeps what each source said of it, its first word and its latest, so that it
can be put together again without what turns out to be of another hold.
"""

from collections.abc import Sequence
from itertools import groupby

import msgspec

from davylamp.attribution.model import Binding, Grade, lifecycle_id

_IDENTITY = ("run_id", "experiment_id", "rollout_id", "trajectory_id")
_FACTS = ("container_id", "image", *_IDENTITY, "step", "traceparent")
_ID_PREFIX = 12
"""Docker's short id; where both sides give at least so much, ids are compared as far as both go."""
_MOST = 8
_KEPT = frozenset(
    {"ip", "lifecycle_id", "valid_from", "valid_to", "serial", "version", "grade", "labels"}
    | {"aliases", "claims", "cut", "released"}
)
_SEEN = frozenset({Grade.OBSERVED, Grade.TOKEN})


def same_container(current: Binding, new: Binding) -> bool:
    """Tell whether a bind can be of the container that a binding is of.

    What a runtime says of runs are labels, written once; they contradict nobody who says more.
    """
    ours, theirs = current.container_id, new.container_id
    if ours and theirs:
        short = min(len(ours), len(theirs))
        if ours != theirs and (short < _ID_PREFIX or ours[:short] != theirs[:short]):
            return False
    elif current.container != new.container:
        return False
    if Grade.OBSERVED in (current.grade, new.grade):
        return True
    pairs = ((getattr(current, name), getattr(new, name)) for name in _IDENTITY)
    return all(not old or not told or old == told for old, told in pairs)


def filled(binding: Binding, other: Binding) -> Binding:
    """Return the binding with what it lacks of its container, from another address's."""
    found = {
        name: told
        for name in _FACTS
        if (told := getattr(other, name)) not in ("", None) and getattr(binding, name) in ("", None)
    }
    return msgspec.structs.replace(binding, **found) if found else binding


def claims_of(hold: Binding) -> tuple[Binding, ...]:
    """Return what was said of a hold; where one source spoke, the hold itself says it."""
    if hold.claims:
        return hold.claims
    return (_claim(hold),)


def joined(hold: Binding, new: Binding) -> Binding:
    """Return the hold with one more bind: the surer source wins, what is empty is filled."""
    return _rebuilt(hold, _added(claims_of(hold), _claim(new)))


def parted(hold: Binding, end: float) -> tuple[Binding, tuple[Binding, ...]]:
    """Return the hold without the claims that begin only after its end, and those claims.

    Of a hold that was released before anybody's word on it, none is taken.
    """
    claims = claims_of(hold)
    later = tuple(each for each in claims if each.valid_from >= end)
    if not later or len(later) == len(claims):
        return hold, ()
    return _rebuilt(hold, tuple(each for each in claims if each not in later)), later


def first_claimed(hold: Binding) -> float:
    """Return the earliest start that anybody said."""
    return min(each.valid_from for each in claims_of(hold))


def last_claimed(hold: Binding) -> float:
    """Return the latest start that anybody said."""
    return max(each.valid_from for each in claims_of(hold))


def first_sure(hold: Binding) -> float:
    """Return the start that a runtime saw; where none did, the one that the last source said.

    Before it an address is only given out, and may still be somebody else's.
    """
    claims = claims_of(hold)
    if seen := [each.valid_from for each in claims if each.grade in _SEEN]:
        return min(seen)
    by_source = groupby(sorted(claims, key=lambda one: one.source), key=lambda one: one.source)
    return max(min(each.valid_from for each in some) for _, some in by_source)


def has_spoken(hold: Binding, source: str) -> bool:
    """Tell whether a source has said something of a hold; each has one id for it at most."""
    return any(each.source == source for each in claims_of(hold))


def _claim(binding: Binding) -> Binding:
    return msgspec.structs.replace(
        binding,
        ip="",
        valid_to=None,
        serial=0,
        version=0,
        aliases=(),
        claims=(),
        cut=False,
        released=None,
    )


def _added(claims: Sequence[Binding], new: Binding) -> tuple[Binding, ...]:
    """Return the claims with one more.

    What one source alone says is one claim, however often it says it. Where there are two, the
    first and the latest word of each are kept: a later word may turn out to be of the next hold.
    """
    mine = sorted(
        (index for index, each in enumerate(claims) if each.source == new.source),
        key=lambda index: claims[index].valid_from,
    )
    result = list(claims)
    if mine and (index := _place(claims, mine, new, alone=len(mine) == len(claims))) is not None:
        old = result[index]
        latest = len(mine) > 1 and index == mine[-1]
        start = max if latest else min
        result[index] = _merged(old, new, start(old.valid_from, new.valid_from))
        return tuple(result)
    result.append(new)
    if len(result) > _MOST:
        result[:2] = [_merged(result[0], result[1], result[0].valid_from)]
    return tuple(result)


def _place(claims: Sequence[Binding], mine: list[int], new: Binding, *, alone: bool) -> int | None:
    """Return which of a source's claims takes in another, or None where it stands beside them."""
    if alone:
        return mine[0]
    for index in mine:
        if claims[index].valid_from == new.valid_from:
            return index
    if len(mine) == 1:
        return None
    return mine[-1] if new.valid_from > claims[mine[-1]].valid_from else mine[0]


def _rebuilt(hold: Binding, claims: tuple[Binding, ...]) -> Binding:
    """Return the hold as those claims make it; it keeps its id while one of them gave that."""
    whole = claims[0]
    for each in claims[1:]:
        whole = _merged(whole, each, min(whole.valid_from, each.valid_from))
    ids = list(dict.fromkeys(each.lifecycle_id for each in claims if each.lifecycle_id))
    kept = hold.lifecycle_id if hold.lifecycle_id in ids else ""
    name = kept or (ids[0] if ids else made_id(whole))
    return msgspec.structs.replace(
        whole,
        ip=hold.ip,
        lifecycle_id=name,
        valid_to=hold.valid_to,
        serial=hold.serial,
        version=hold.version,
        aliases=tuple(each for each in ids if each != name),
        claims=claims if len(claims) > 1 else (),
        cut=hold.cut,
        released=hold.released,
    )


def made_id(binding: Binding) -> str:
    """Return the id of a lifecycle that nobody has named."""
    return lifecycle_id(binding.container_id or binding.container, binding.valid_from)


def _merged(old: Binding, new: Binding, start: float) -> Binding:
    """Return what two claims say together; the surer source wins where they differ."""
    surer = new.grade.rank <= old.grade.rank
    changes: dict[str, object] = {"valid_from": start}
    for name in new.__struct_fields__:
        told = getattr(new, name)
        if name in _KEPT or told in ("", None):
            continue
        if surer or getattr(old, name) in ("", None):
            changes[name] = told
    changes["labels"] = {**old.labels, **new.labels} if surer else {**new.labels, **old.labels}
    changes["grade"] = new.grade if surer else old.grade
    changes["lifecycle_id"] = old.lifecycle_id or new.lifecycle_id
    return msgspec.structs.replace(old, **changes)
