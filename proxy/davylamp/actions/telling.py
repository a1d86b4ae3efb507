"""An action as an event. Pure."""

from davylamp.actions.model import Record
from davylamp.events import ActionEvent, ActionInfo, LineageInfo, rfc3339


def told(record: Record, now: float) -> ActionEvent:
    """Return what is told of an action as it now stands; ``now`` is seconds since the epoch."""
    planned = record.planned
    return ActionEvent(
        timestamp=rfc3339(now),
        incident_id=planned.incident_id,
        action=ActionInfo(
            kind=planned.kind,
            status=record.status,
            target=planned.target,
            outcome=record.outcome,
            gateway=record.gateway,
            attempts=record.attempts,
            reason=planned.reason,
            severity=planned.severity,
            by=record.memo.get("by", ""),
        ),
        src_ip=planned.addresses[0] if planned.addresses else "",
        lineage=LineageInfo(
            grade=planned.grade,
            container=planned.container,
            container_id=planned.container_id,
            lifecycle_id=planned.lifecycle_id,
            run_id=planned.run_id,
            rollout_id=planned.rollout_id,
            step=planned.step,
            tool_call_id=planned.tool_call_id,
        ),
    )
