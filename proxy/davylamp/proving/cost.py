"""What inspection costs a flow under several packs, measured in turns.

Only the inspector is timed, and the collector of garbage rests: what it would do depends on all
else that the process holds. The packs take turns within each round, so that a busy machine hurts
all of them, and each pack's lowest round counts: the others measure the neighbours.
"""

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from davylamp.inspection.inspector import Inspector
from davylamp.proving.ordinary import Flow
from davylamp.signatures.pack import Pack

ROUNDS = 15
_REPEATS = 60  # of all flows, in one turn


@dataclass(frozen=True, slots=True)
class Cost:
    """What one kind of flow costs under each pack, in microseconds."""

    flow: str
    microseconds: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """The last pack's cost beside the first's."""
        return self.microseconds[-1] / self.microseconds[0]


def in_turns(
    packs: Sequence[Pack],
    flows: Sequence[tuple[str, Flow]],
    clock: Callable[[], float],
    rounds: int = ROUNDS,
) -> tuple[Cost, ...]:
    """Return what each kind of flow costs under each pack; ``clock`` counts seconds."""
    best = [[float("inf")] * len(packs) for _ in flows]
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            for lowest, (_, flow) in zip(best, flows, strict=True):
                for at, pack in enumerate(packs):
                    lowest[at] = min(lowest[at], _turn(pack, flow, clock))
    finally:
        if was_on:
            gc.enable()
    return tuple(
        Cost(name, tuple(seconds * 1e6 / _REPEATS for seconds in lowest))
        for lowest, (name, _) in zip(best, flows, strict=True)
    )


def _turn(pack: Pack, flow: Flow, clock: Callable[[], float]) -> float:
    began = clock()
    for _ in range(_REPEATS):
        inspect(pack, flow)
    return clock() - began


def mean(costs: Sequence[Cost]) -> tuple[float, ...]:
    """Return what a flow costs under each pack, over all kinds of flows."""
    columns = zip(*(cost.microseconds for cost in costs), strict=True)
    return tuple(sum(column) / len(costs) for column in columns)


def inspect(pack: Pack, flow: Flow) -> None:
    """Show a flow to an inspector, as far as it wants to see it."""
    inspector = Inspector(pack)
    for direction, data in flow:
        inspector.receive(direction, data, 0.0)
        if inspector.settled:
            break
