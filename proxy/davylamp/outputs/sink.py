"""What a place for events is."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from davylamp.events import AnyEvent


class Sink(Protocol):
    """Somewhere that events go.

    ``write`` returns when the sink has taken responsibility for the event, and raises when it
    could not; the fan-out counts and reports that. ``close`` hands over what is still held.
    """

    async def write(self, event: AnyEvent) -> None:
        """Take one event."""
        ...

    async def close(self) -> None:
        """Hand over what is held and release everything; later writes are errors."""
        ...


@dataclass(frozen=True, slots=True)
class Spooled:
    """What a sink keeps on disk: events that wait, were dropped for room, or were refused."""

    waiting: int
    dropped: int
    refused: int
    bytes: int
    limit: int


@runtime_checkable
class Spooling(Protocol):
    """A sink that keeps events on disk until they are taken."""

    def spooled(self) -> Spooled:
        """Return what is there, without waiting for the disk."""
        ...


@runtime_checkable
class Troubled(Protocol):
    """A sink that keeps events for a receiver; ``trouble`` says while that is away."""

    trouble: str
