"""Whose an alert is: what is asked of lineage, whatever the alert's source address means."""

from typing import Protocol

from davylamp.attribution.model import Attribution
from davylamp.attribution.table import LineageTable
from davylamp.events import AlertEvent


class Namer(Protocol):
    """Attributes alerts. Nothing here waits: who asks too early is told so, and asks again."""

    def settled(self, alert: AlertEvent) -> bool:
        """Tell whether waiting a little longer is of no use."""
        ...

    def attribute(self, alert: AlertEvent, opened: float) -> Attribution:
        """Say whose an alert is whose flow opened then (epoch), by what is known now."""
        ...


class AddressNamer:
    """Names whoever held the source address, as the table has it."""

    def __init__(self, table: LineageTable) -> None:
        self._table = table

    def settled(self, alert: AlertEvent) -> bool:  # noqa: ARG002 - the table is always there
        """Tell that there is nothing to wait for."""
        return True

    def attribute(self, alert: AlertEvent, opened: float) -> Attribution:
        """Say who held the source address when the flow opened."""
        return self._table.attribute(alert.src_ip, opened)
