"""What the API remembers of what the gateway did, in memory and bounded."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from davylamp.api.flows import FlowRing
from davylamp.api.hub import Hub
from davylamp.api.model import SourceHealth
from davylamp.api.series import Series
from davylamp.attribution.model import BindingChange, Change, change_event
from davylamp.events import AlertEvent, AnyEvent, StatsEvent, TlsEvent, rfc3339

SOURCES = 64


@dataclass(slots=True)
class Board:
    """Fed with every event that is published and every change of lineage that is read.

    ``clock`` gives seconds since the epoch.
    """

    clock: Callable[[], float]
    flows: FlowRing = field(default_factory=FlowRing)
    series: Series = field(default_factory=Series)
    hub: Hub = field(default_factory=Hub)
    _sources: OrderedDict[str, SourceHealth] = field(default_factory=OrderedDict)

    def take(self, event: AnyEvent) -> None:
        """Take in an event that the gateway publishes."""
        match event:
            case AlertEvent() | TlsEvent():
                self.hub.publish("flow", self.flows.take(event))
            case StatsEvent():
                self.series.take(event)
            case _:
                pass  # lineage comes as changes, from every writer and not from us alone

    def learn(self, change: Change) -> None:
        """Take in a change of lineage that was read just now."""
        at = self.clock()
        if isinstance(change, BindingChange):
            name = change.binding.source
            known = self._sources.pop(name, None)
            changes = 1 if known is None else known.changes + 1
            self._sources[name] = SourceHealth(name=name, changes=changes, last=rfc3339(at))
            while len(self._sources) > SOURCES:
                self._sources.popitem(last=False)
        if self.hub:
            self.hub.publish("lineage", change_event(change, at))

    def sources(self) -> dict[str, SourceHealth]:
        """Return where bindings came from, by name."""
        return dict(self._sources)
