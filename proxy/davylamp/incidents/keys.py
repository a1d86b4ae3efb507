"""The Redis keys of incidents, under the same prefix as lineage's (docs/incidents.md)."""

from dataclasses import dataclass

from davylamp.attribution.keys import Keys
from davylamp.incidents.recurrence import Trait


@dataclass(frozen=True, slots=True)
class IncidentKeys:
    """The names of keys under a prefix."""

    prefix: str = Keys().prefix

    @property
    def index(self) -> str:
        """Sorted set of the ids of all incidents, by the time of their last alert."""
        return f"{self.prefix}incident-index"

    def incident(self, incident_id: str) -> str:
        """Hash of an incident: ``version``, which writers compare and set, ``json``, ``head``."""
        return f"{self.prefix}incident:{incident_id}"

    def chain(self, incident_id: str) -> str:
        """List of an incident's events as JSON lines, in order."""
        return f"{self.prefix}incident-chain:{incident_id}"

    def digests(self, incident_id: str) -> str:
        """List of the chain's digests, one for each event."""
        return f"{self.prefix}incident-digests:{incident_id}"

    def exports(self, incident_id: str) -> str:
        """List of the SHA-256 of the manifests of exported bundles, newest first."""
        return f"{self.prefix}incident-exports:{incident_id}"

    def current(self, subject: str) -> str:
        """Name the id of the incident that a subject's next alert goes to."""
        return f"{self.prefix}incident-of:{subject}"

    def alias(self, incident_id: str) -> str:
        """Name the id of the incident that alerts with this id were folded into."""
        return f"{self.prefix}incident-alias:{incident_id}"

    def seen(self, event_id: str) -> str:
        """Name the mark of a folded alert, by which a repeat does nothing."""
        return f"{self.prefix}incident-seen:{event_id}"

    def trait(self, trait: Trait) -> str:
        """Sorted set of the incidents that have a trait, as JSON, by their first alert."""
        return f"{self.prefix}incident-trait:{trait.kind}:{trait.value}"


@dataclass(frozen=True, slots=True)
class IncidentRetention:
    """How many incidents, entries of a trait and exports are kept, and for how many seconds."""

    incidents: int = 10_000
    trait: int = 256
    exports: int = 16
    seconds: int = 90 * 24 * 3600
    seen_seconds: int = 7 * 24 * 3600
