"""A sink that passes on only some kinds of events."""

from davylamp.events import AnyEvent
from davylamp.outputs.sink import Sink


class Only:
    """Passes events of the given types on to ``sink``, and drops the rest."""

    def __init__(self, sink: Sink, *kinds: type[AnyEvent]) -> None:
        self._sink = sink
        self._kinds = kinds

    @property
    def behind(self) -> Sink:
        """The sink that has the events."""
        return self._sink

    async def write(self, event: AnyEvent) -> None:
        """Pass the event on if it is of a wanted kind."""
        if isinstance(event, self._kinds):
            await self._sink.write(event)

    async def close(self) -> None:
        """Close the sink behind."""
        await self._sink.close()
