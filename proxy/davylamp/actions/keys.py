"""The Redis keys of actions (docs/actions.md)."""

from dataclasses import dataclass

from davylamp.attribution.keys import Keys


@dataclass(frozen=True, slots=True)
class ActionKeys:
    """The names of keys under a prefix."""

    prefix: str = Keys().prefix

    @property
    def records(self) -> str:
        """Hash: an action's id to its JSON Record."""
        return f"{self.prefix}actions"

    @property
    def order(self) -> str:
        """Sorted set of actions' ids, by when they began."""
        return f"{self.prefix}actions-order"

    @property
    def open(self) -> str:
        """Sorted set of the ids of actions that are not over, by when they are given up."""
        return f"{self.prefix}actions-open"


@dataclass(frozen=True, slots=True)
class ActionRetention:
    """How many actions are kept; those that began first go first."""

    records: int = 10_000
