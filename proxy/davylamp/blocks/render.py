"""Shared blocks as a person reads them."""

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from davylamp.blocks.operations import Standing
from davylamp.events import rfc3339
from davylamp.wording import inert


def listing(found: Iterable[Standing]) -> Table:
    """Return blocks as a table, in the order given."""
    table = Table(title="refused to every sandbox", title_justify="left")
    for heading in ("endpoint", "who", "why", "incident", "since", "until", "in force at"):
        table.add_column(heading, overflow="fold")
    for one in found:
        block = one.block
        sure = f" ({block.confidence} %)" if block.confidence else ""
        table.add_row(
            _inert(block.endpoint),
            _inert(block.by or f"gateway {block.gateway}"),
            _inert(f"{block.reason}{sure}"),
            _inert(block.incident_id),
            moment(block.at),
            moment(block.until),
            _inert(f"{len(one.gateways)}: {', '.join(one.gateways)}" if one.gateways else "none"),
        )
    return table


def moment(at: float) -> Text:
    """Return a time (seconds since the epoch) to the second."""
    return Text(rfc3339(at)[:19].replace("T", " ") + "Z")


def _inert(value: str) -> Text:
    return Text(inert(value))
