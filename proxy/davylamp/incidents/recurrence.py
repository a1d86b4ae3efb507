"""What comes back: the same wallet, or the same destination, in incidents of one experiment."""

from collections.abc import Iterable

from davylamp.events import AlertEvent, Struct
from davylamp.incidents.model import Incident, Recurrence

_NAMED = 8  # earlier incidents and runs that are named; all are counted


class Trait(Struct, frozen=True, kw_only=True):
    """Something that an alert can share with alerts of other incidents."""

    kind: str
    value: str


class Earlier(Struct, frozen=True, kw_only=True):
    """An incident that has a trait, as the index of traits holds it."""

    incident_id: str
    experiment_id: str = ""
    run_id: str = ""
    first_seen: str = ""


def traits(alert: AlertEvent) -> tuple[Trait, ...]:
    """Return what an alert may share with others; the wallet first, if it is known."""
    found = [Trait(kind="destination", value=f"{alert.dest_ip} {alert.dest_port}")]
    if alert.mining is not None and alert.mining.wallet_digest:
        found.insert(0, Trait(kind="wallet", value=alert.mining.wallet_digest))
    return tuple(found)


def entry(incident: Incident) -> Earlier:
    """Return an incident as the index holds it."""
    who = incident.who
    return Earlier(
        incident_id=incident.id,
        experiment_id=who.experiment_id if who else "",
        run_id=who.run_id if who else "",
        first_seen=incident.first_seen,
    )


def recurrence(incident: Incident, trait: Trait, known: Iterable[Earlier]) -> Recurrence | None:
    """Return how often a trait was met in an incident's experiment, None for the first time.

    Without an experiment nobody says what belongs together: then nothing recurs.
    """
    experiment = incident.who.experiment_id if incident.who else ""
    if not experiment:
        return None
    before = {
        one.incident_id: one
        for one in known
        if one.experiment_id == experiment
        and one.incident_id != incident.id
        and one.first_seen <= incident.first_seen
    }
    if not before:
        return None
    earlier = sorted(before.values(), key=lambda one: one.first_seen)
    runs = dict.fromkeys(one.run_id for one in earlier if one.run_id)
    return Recurrence(
        kind=trait.kind,
        value=trait.value,
        times=len(earlier) + 1,
        experiment_id=experiment,
        incidents=tuple(one.incident_id for one in earlier)[-_NAMED:],
        runs=tuple(runs)[-_NAMED:],
    )
