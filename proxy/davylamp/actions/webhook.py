"""An incident is posted to a receiver of its own: signed, and kept on disk until it is taken."""

from davylamp.actions.executor import Done
from davylamp.actions.model import Planned, Record, Status
from davylamp.actions.telling import told
from davylamp.outputs.sink import Sink


class WebhookExecutor:
    """Hands an event about the incident to a spooled webhook."""

    def __init__(self, sink: Sink, name: str) -> None:
        self._sink = sink
        self._name = name

    async def do(self, planned: Planned, now: float) -> Done:
        """Put the event on disk; what follows is the webhook's own business."""
        record = Record(
            planned=planned, status=Status.DONE, gateway=self._name, at=now, outcome="told"
        )
        await self._sink.write(told(record, now))
        return Done("on its way to the receiver")

    async def undo(self, record: Record, now: float) -> str:  # noqa: ARG002 - any executor's
        """Say that what was posted was posted."""
        return "what was said cannot be taken back"
