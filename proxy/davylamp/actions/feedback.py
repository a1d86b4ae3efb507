"""The trainer is told that a rollout must not be learned from."""

from davylamp.actions.executor import Done
from davylamp.actions.model import Planned, Record
from davylamp.attribution.feedback import FeedbackOperations, RolloutVerdict
from davylamp.attribution.store import AsyncStore


class FeedbackExecutor:
    """Marks rollouts in the store, in the name of a gateway."""

    def __init__(self, store: AsyncStore, name: str) -> None:
        self._store = store
        self._operations = FeedbackOperations.beside(store.operations)
        self._name = name

    async def do(self, planned: Planned, now: float) -> Done:
        """Mark the rollout."""
        verdict = RolloutVerdict(
            run_id=planned.run_id,
            rollout_id=planned.rollout_id,
            valid=False,
            at=now,
            reason=planned.reason,
            incident_id=planned.incident_id,
            tool_call_id=planned.tool_call_id,
            candidates=planned.candidates,
            step=planned.step,
            gateway=self._name,
        )
        await self._store.run(self._operations.mark(verdict))
        return Done(f"rollout {planned.rollout_id} of run {planned.run_id} is not valid")

    async def undo(self, record: Record, now: float) -> str:
        """Take what this incident said of the rollout back."""
        planned = record.planned
        by = record.memo.get("by", self._name)
        await self._store.run(
            self._operations.revoke(
                planned.run_id, planned.rollout_id, planned.incident_id, by, now
            )
        )
        return f"rollout {planned.rollout_id} is as before"
