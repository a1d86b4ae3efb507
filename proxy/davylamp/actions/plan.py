"""What policy has done about an incident as it now stands. Pure.

Nothing is planned against somebody who is only guessed: a grade of ``stale`` or ``unknown`` has no
actions, whatever a rule says. A gateway that observes plans nothing either, unless told to.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from davylamp.actions.model import Kind, Planned
from davylamp.attribution.model import Grade
from davylamp.incidents.model import Incident, Level, Status

_LEVELS = tuple(Level)
_REASON = 300


@dataclass(frozen=True, slots=True)
class When:
    """Which incidents: at least this grave, somebody at least this sure, of any of the categories.

    No category means all of them.
    """

    severity_at_least: Level = Level.INFO
    grade_at_least: Grade = Grade.OBSERVED
    categories: frozenset[str] = frozenset()

    def holds(self, incident: Incident) -> bool:
        """Tell whether an incident is one of these."""
        who = incident.who
        if who is None or not who.lifecycle_id or who.grade not in tuple(Grade):
            return False
        grade = Grade(who.grade)
        if not grade.certain() or grade.rank > self.grade_at_least.rank:
            return False
        if _LEVELS.index(incident.severity) < _LEVELS.index(self.severity_at_least):
            return False
        met = {one.category for one in incident.signatures}
        return not self.categories or not self.categories.isdisjoint(met)


@dataclass(frozen=True, slots=True)
class Rule:
    """What to do about which incidents."""

    when: When = When()
    do: tuple[Kind, ...] = ()


@dataclass(frozen=True, slots=True)
class ActionPolicy:
    """A site's rules; ``acts`` is whether this gateway acts at all."""

    rules: tuple[Rule, ...] = ()
    acts: bool = True
    quarantine_seconds: float = 3600.0

    @property
    def idle(self) -> bool:
        """Whether nothing is ever to be done, whatever the incident."""
        return not self.acts or not self.rules


def plan(incident: Incident, policy: ActionPolicy) -> tuple[Planned, ...]:
    """Return what is to be done, each thing once, in the order of the rules."""
    if policy.idle or incident.status is not Status.OPEN:
        return ()
    kinds = dict.fromkeys(
        kind for rule in policy.rules if rule.when.holds(incident) for kind in rule.do
    )
    found = (one for kind in kinds for one in _planned(incident, kind, policy))
    return tuple({one.id: one for one in found}.values())


def _planned(incident: Incident, kind: Kind, policy: ActionPolicy) -> Iterator[Planned]:
    who = incident.who
    assert who is not None
    base = Planned(
        incident_id=incident.id,
        kind=kind,
        target=who.lifecycle_id,
        reason=incident.title[:_REASON],
        severity=incident.severity,
        grade=who.grade,
        lifecycle_id=who.lifecycle_id,
        container=who.container,
        container_id=who.container_id,
        run_id=who.run_id,
        rollout_id=who.rollout_id,
        step=who.step,
        seen=datetime.fromisoformat(incident.last_seen).timestamp(),
    )
    match kind:
        case Kind.TAG:
            return
        case Kind.FEEDBACK:
            yield from _feedback(incident, base)
        case Kind.QUARANTINE:
            yield replace(base, addresses=incident.sources, seconds=policy.quarantine_seconds)
        case Kind.DOCKER_PAUSE | Kind.DOCKER_STOP | Kind.DOCKER_DISCONNECT:
            if target := who.container_id or who.container:
                yield replace(base, target=target)
        case Kind.KUBERNETES_LABEL | Kind.KUBERNETES_DELETE | Kind.WEBHOOK:
            yield base


def _feedback(incident: Incident, base: Planned) -> Iterator[Planned]:
    """Yield one verdict for each tool call that did it, or one that names all that may have."""
    sure = [one for one in incident.calls if one.sure]
    for one in sure:
        rollout = one.rollout_id or base.rollout_id
        if rollout:
            yield replace(
                base,
                target=f"{base.run_id}/{rollout}/{one.tool_call_id}",
                rollout_id=rollout,
                tool_call_id=one.tool_call_id,
                step=one.step if one.step is not None else base.step,
            )
    if not sure and base.rollout_id:
        candidates = tuple(one.tool_call_id for one in incident.calls)
        yield replace(base, target=f"{base.run_id}/{base.rollout_id}/", candidates=candidates)
