"""Whether a pack does what it says, and how long it takes: its own examples, by this engine.

Run before a pack is let in, in the process that installs it, so that a worker never meets a pack
that nobody tried.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from davylamp.errors import PackError
from davylamp.proving.cost import inspect
from davylamp.proving.trial import Failure, Trial
from davylamp.signatures.model import SignatureId
from davylamp.signatures.pack import Pack
from davylamp.signatures.vectors import Bytes, Vector, parse_vectors

_WAYS = 2
"""Whole and byte by byte; every cut is `davylamp pack test`'s work."""


@dataclass(frozen=True, slots=True)
class TimeBudget:
    """How long a pack may take, in seconds: one flow's bytes at most, and all examples together.

    ``each`` is for the first KiB of an example and again for every further one, the best of so many
    ``runs``.
    """

    each: float = 0.02
    whole: float = 300.0
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
    """Run a pack's examples; raise PackError for the first that is too slow or wrong.

    ``vectors`` are vector files by their path beneath the pack's ``vectors/``. Each signature needs
    at least one match and one near miss among them.
    """
    budget = budget or TimeBudget()
    began = clock()
    examples = tuple(_examples(vectors))
    slowest, slowest_name = 0.0, ""
    for identity, vector in examples:
        took = _cost(pack, vector, budget, clock)
        if took > slowest:
            slowest, slowest_name = took, f"{identity}: {vector.name}"
        if took > budget.each:
            raise PackError(
                f"too slow: {took * 1e3:.1f} ms for a KiB of {identity} ({vector.name}); "
                f"at most {budget.each * 1e3:g} ms"
            )
    for outcome in Trial(pack, _WAYS).outcomes(examples):
        if outcome.failures:
            raise PackError(_told(outcome.identity, outcome.failures[0]))
        if clock() - began > budget.whole:
            raise PackError(f"too slow: the examples take more than {budget.whole:g} s")
    return Proof(len(examples), slowest, slowest_name)


def _examples(vectors: Mapping[str, bytes]) -> Iterator[tuple[SignatureId, Vector]]:
    for file in sorted(vectors):
        for vector in parse_vectors(vectors[file], file):
            yield SignatureId(PurePosixPath(file).stem), vector


def _told(identity: SignatureId, failure: Failure) -> str:
    example = f" ({failure.vector}, {failure.fed})" if failure.vector else ""
    return (
        f"{failure.place}: the examples of {identity} fail{example}: "
        f"expected {failure.expected}, got {failure.got}"
    )


def _cost(pack: Pack, vector: Vector, budget: TimeBudget, clock: Callable[[], float]) -> float:
    """Return the seconds that a KiB of the example takes, the best of several runs."""
    flow = tuple((step.direction, step.data) for step in vector.steps if isinstance(step, Bytes))
    best = float("inf")
    for _ in range(budget.runs):
        began = clock()
        inspect(pack, flow)
        best = min(best, clock() - began)
        if best <= budget.each / 10:
            break
    return best / (1 + sum(len(data) for _, data in flow) // 1024)
