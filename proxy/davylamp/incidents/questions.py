"""What is asked of incidents, by the command line and the API alike."""

from dataclasses import dataclass

import msgspec

from davylamp import events
from davylamp.events import AlertEvent
from davylamp.incidents.model import Incident, Status
from davylamp.incidents.operations import Record


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which incidents; what is empty does not narrow it.

    ``container`` is a name, a lifecycle id or an address; ``since`` an RFC 3339 time in UTC from
    which on there must have been an alert.
    """

    status: Status | None = None
    run_id: str = ""
    experiment_id: str = ""
    container: str = ""
    since: str = ""

    def takes(self, incident: Incident) -> bool:
        """Tell whether an incident is one of these."""
        who = incident.who
        names = {*incident.sources, *((who.container, who.lifecycle_id) if who else ())}
        return (
            (self.status is None or incident.status is self.status)
            and incident.last_seen >= self.since
            and (not self.run_id or (who is not None and who.run_id == self.run_id))
            and (
                not self.experiment_id
                or (who is not None and who.experiment_id == self.experiment_id)
            )
            and (not self.container or self.container in names)
        )


def alerts_of(record: Record) -> list[AlertEvent]:
    """Return the alerts of an incident that were kept."""
    found: list[AlertEvent] = []
    for line in record.lines:
        try:
            event = events.decode(line)
        except msgspec.DecodeError:
            continue  # a resolution, which the incident itself tells
        if isinstance(event, AlertEvent):
            found.append(event)
    return found


def whose(incident: Incident) -> str:
    """Return what lineage is asked about: the container's lifecycle, else the address."""
    who = incident.who
    return (who.lifecycle_id if who else "") or (incident.sources or ("",))[0]
