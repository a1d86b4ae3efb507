"""What a place for events is."""

from typing import Protocol

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
