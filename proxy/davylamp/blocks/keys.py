"""The Redis keys of what gateways refuse together (docs/lineage.md)."""

from dataclasses import dataclass

from davylamp.attribution.keys import Keys


@dataclass(frozen=True, slots=True)
class BlockKeys:
    """The names of keys under a prefix."""

    prefix: str = Keys().prefix

    @property
    def endpoints(self) -> "Table":
        """Endpoints that are refused to everybody."""
        return Table(f"{self.prefix}verdicts")

    @property
    def quarantines(self) -> "Table":
        """Lifecycles in quarantine."""
        return Table(f"{self.prefix}quarantines")

    @property
    def changes(self) -> str:
        """Stream of changes to both, field ``change``."""
        return f"{self.prefix}verdict-changes"

    @property
    def gateways(self) -> str:
        """Hash: a gateway's name to its JSON Report."""
        return f"{self.prefix}gateways"

    @property
    def gateways_order(self) -> str:
        """Sorted set of gateways' names, by the time of their report."""
        return f"{self.prefix}gateways-order"


@dataclass(frozen=True, slots=True)
class Table:
    """Records by id: a hash of JSON, when each may go, and where in the stream each is."""

    records: str

    @property
    def order(self) -> str:
        """Sorted set of ids, by the time from which the record is not needed any more."""
        return f"{self.records}-order"

    @property
    def places(self) -> str:
        """Hash: an id to the stream id of its last change."""
        return f"{self.records}-places"


@dataclass(frozen=True, slots=True)
class BlockRetention:
    """How many records, changes and gateways are kept, and for how many seconds.

    ``released_seconds``: for so long a gateway that was away still hears of a release.
    """

    records: int = 10_000
    changes: int = 20_000
    gateways: int = 1_024
    gateway_seconds: float = 24 * 3600.0
    released_seconds: float = 24 * 3600.0
