"""Actions as a person reads them."""

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from davylamp.actions.model import Record, Status
from davylamp.events import rfc3339
from davylamp.wording import inert

_STYLES = {
    Status.RUNNING: "yellow",
    Status.DONE: "green",
    Status.FAILED: "bold red",
    Status.WOULD: "dim",
    Status.UNDOING: "yellow",
    Status.UNDONE: "cyan",
}


def listing(records: Iterable[Record]) -> Table:
    """Return actions as a table, in the order given."""
    table = Table(title="actions", title_justify="left")
    for heading in ("began", "incident", "what", "container", "state", "outcome", "by"):
        table.add_column(heading, overflow="fold")
    for one in records:
        planned = one.planned
        table.add_row(
            Text(rfc3339(one.at)[:19].replace("T", " ") + "Z"),
            _inert(planned.incident_id),
            Text(planned.kind),
            _inert(planned.container or planned.target),
            Text(one.status, style=_STYLES[one.status]),
            _inert(one.outcome),
            _inert(f"gateway {one.gateway}"),
        )
    return table


def _inert(value: str) -> Text:
    return Text(inert(value))
