"""Nothing of a sandbox gets out any more: a quarantine that every gateway's kernel carries out."""

from davylamp.actions.executor import Done
from davylamp.actions.holding import addresses_held
from davylamp.actions.model import Planned, Record
from davylamp.attribution.store import AsyncStore
from davylamp.blocks.model import Quarantine
from davylamp.blocks.operations import BlockOperations
from davylamp.events import rfc3339


class QuarantineExecutor:
    """Puts a lifecycle into quarantine, in the name of a gateway."""

    def __init__(self, store: AsyncStore, name: str) -> None:
        self._store = store
        self._operations = BlockOperations.beside(store.operations)
        self._name = name

    async def do(self, planned: Planned, now: float) -> Done:
        """Have what the lifecycle sends dropped, from whichever of its addresses."""
        lifecycle = planned.lifecycle_id
        held = await addresses_held(self._store, lifecycle)
        until = now + planned.seconds
        quarantine = Quarantine(
            lifecycle_id=lifecycle,
            addresses=held,
            at=now,
            until=until,
            gateway=self._name,
            container=planned.container,
            incident_id=planned.incident_id,
        )
        fresh = await self._store.run(self._operations.confine(quarantine, now))
        already = "" if fresh else "already, and longer; asked for "
        return Done(f"{', '.join(held)} sends nothing ({already}until {rfc3339(until)[:19]}Z)")

    async def undo(self, record: Record, now: float) -> str:
        """Let it send again."""
        by = record.memo.get("by", self._name)
        was = await self._store.run(self._operations.free(record.planned.lifecycle_id, by, now))
        return "it may send again" if was else "it was over already"
