"""What carries a kind of action out."""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from davylamp.actions.model import Planned, Record


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an action in words, and what its undoing needs to know."""

    outcome: str
    memo: dict[str, str] = field(default_factory=dict)


class Executor(Protocol):
    """Does one kind of thing, and undoes it. Doing either again does no harm.

    Raises ActionRefused where trying again cannot help; any other error is tried again.
    """

    async def do(self, planned: Planned, now: float) -> Done:
        """Do it."""
        ...

    async def undo(self, record: Record, now: float) -> str:
        """Undo it; return what came of that."""
        ...


@runtime_checkable
class Foreseeing(Protocol):
    """An executor that takes something apart, and so must know beforehand how it was."""

    async def foresee(self, planned: Planned, now: float) -> dict[str, str]:
        """Return what undoing will need, before anything is done; raises as the rest does."""
        ...
