"""Whether a pack does what it says, and how long it takes: its own examples, by this engine.

Run before a pack is let in, in the process that installs it, so that a worker never meets a pack
that nobody tried.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from davylamp.errors import PackError
from davylamp.inspection.inspector import Inspector
from davylamp.signatures.model import Maturity, SignatureId
from davylamp.signatures.pack import Pack
from davylamp.signatures.vectors import Bytes, Name, Noticed, Vector, feedings, parse_vectors

_WAYS = 2
"""Whole and byte by byte; every cut is `davylamp pack test`'s work."""


@dataclass(frozen=True, slots=True)
class TimeBudget:
    """How long a pack may take, in seconds: one flow's bytes at most, and all examples together.

    ``each`` is for the first KiB of an example and again for every further one.
    """

    each: float = 0.02
    whole: float = 120.0
    runs: int = 3


@dataclass(frozen=True, slots=True)
class Proof:
    """How many examples were right, and what the slowest took, in seconds for each KiB begun."""

    examples: int
    slowest: float
    slowest_name: str


def prove(
    pack: Pack,
    vectors: Mapping[str, bytes],
    *,
    budget: TimeBudget | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Proof:
    """Run a pack's examples; raise PackError for the first that is wrong or too slow.

    ``vectors`` are vector files by their path beneath the pack's ``vectors/``. A signature that may
    be live needs at least one example that it matches.
    """
    budget = budget or TimeBudget()
    everything = pack.with_sandbox()
    began, count, slowest, slowest_name = clock(), 0, 0.0, ""
    shown: set[SignatureId] = set()
    for identity, vector in _examples(vectors):
        if identity not in pack.signatures:
            raise PackError(f"{vector.place}: there is no signature {identity!r} in this pack")
        count += 1
        _check(everything, pack, identity, vector)
        if vector.fires:
            shown.add(identity)
        took = _cost(pack, vector, budget, clock)
        if took > slowest:
            slowest, slowest_name = took, f"{identity}: {vector.name}"
        if took > budget.each:
            raise PackError(
                f"too slow: {took * 1e3:.1f} ms for a KiB of {identity} ({vector.name}); "
                f"at most {budget.each * 1e3:g} ms"
            )
        if clock() - began > budget.whole:
            raise PackError(f"too slow: the examples take more than {budget.whole:g} s")
    live = {one.id for one in pack.signatures.values() if one.maturity is not Maturity.SANDBOX}
    if without := sorted(live - shown):
        raise PackError(
            f"{without[0]}: no example in vectors/ shows that it matches anything; add one"
        )
    return Proof(count, slowest, slowest_name)


def _examples(vectors: Mapping[str, bytes]) -> Iterator[tuple[SignatureId, Vector]]:
    for file in sorted(vectors):
        for vector in parse_vectors(vectors[file], file):
            yield SignatureId(PurePosixPath(file).stem), vector


def _check(everything: Pack, pack: Pack, identity: SignatureId, vector: Vector) -> None:
    stream = _stream(vector)
    for (word, feeding), _ in zip(feedings(stream), range(_WAYS), strict=False):
        found = _fired(everything, feeding) | _looked_up(everything, vector)
        if (identity in found) is not vector.fires:
            wanted = "does not match" if vector.fires else "matches and should not"
            raise PackError(f"{vector.place}: {identity} {wanted}: {vector.name} ({word})")
    others = (_fired(pack, stream) | _looked_up(pack, vector)) - {identity}
    if stream and others != set(vector.also):
        odd = min(others ^ set(vector.also))
        raise PackError(f"{vector.place}: {odd} is another matter than 'also' says: {vector.name}")


def _stream(vector: Vector) -> tuple[Bytes, ...]:
    return tuple(step for step in vector.steps if isinstance(step, Bytes))


def _fired(pack: Pack, feeding: tuple[Bytes, ...]) -> set[SignatureId]:
    inspector = Inspector(pack)
    return {
        finding.signature.id
        for step in feeding
        for finding in inspector.receive(step.direction, step.data, 0.0)
    }


def _looked_up(pack: Pack, vector: Vector) -> set[SignatureId]:
    found: set[SignatureId] = set()
    for step in vector.steps:
        match step:
            case Name(field, name):
                named = pack.match_name(field, name)
                if named is not None:
                    found.add(named.signature.id)
            case Noticed(event):
                noticed = pack.match_event(event)
                if noticed is not None:
                    found.add(noticed.id)
            case Bytes():
                pass
    return found


def _cost(pack: Pack, vector: Vector, budget: TimeBudget, clock: Callable[[], float]) -> float:
    """Return the seconds that a KiB of the example takes, the best of several runs."""
    stream = _stream(vector)
    best = float("inf")
    for _ in range(budget.runs):
        began = clock()
        _fired(pack, stream)
        best = min(best, clock() - began)
        if best <= budget.each / 10:
            break
    return best / (1 + sum(len(step.data) for step in stream) // 1024)
