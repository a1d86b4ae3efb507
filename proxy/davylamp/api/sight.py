"""What the API sees of the gateway that it serves."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from davylamp.api.board import Board
from davylamp.attribution.store import AsyncStore
from davylamp.attribution.sync import LineageSync
from davylamp.attribution.table import LineageTable
from davylamp.config import GatewayConfig
from davylamp.incidents.operations import IncidentOperations
from davylamp.metrics.book import MetricsBook
from davylamp.signatures.pack import Pack


class Ready(Protocol):
    """Something that has come to be, or not yet."""

    def is_set(self) -> bool:
        """Tell whether it has."""
        ...


class Process(Protocol):
    """A child process of the gateway."""

    name: str
    restarts: int

    @property
    def ready(self) -> Ready:
        """Whether it has begun its work."""
        ...

    @property
    def alive(self) -> bool:
        """Whether it is running."""
        ...


class Rules(Protocol):
    """The kernel's rules; ``applied_at`` is 0 before they were put in force."""

    applied_at: float


class Followed(Protocol):
    """A source of lineage that the gateway follows."""

    name: str
    connected: bool
    error: str


class Packs(Protocol):
    """Whoever knows which signature pack is in force; another one may be at any time."""

    @property
    def pack(self) -> Pack:
        """The pack in force now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """The gateway, as far as its API shows it; ``processes`` are its children.

    ``noted`` says what is wrong around it; ``clock`` gives seconds since the epoch.
    """

    config: GatewayConfig
    packs: Packs
    store: AsyncStore
    sync: LineageSync
    table: LineageTable
    book: MetricsBook
    board: Board
    rules: Rules
    noted: Callable[[], Sequence[str]]
    processes: Sequence[Process]
    followed: Collection[Followed]
    clock: Callable[[], float]

    @property
    def pack(self) -> Pack:
        """The signature pack in force now."""
        return self.packs.pack

    @property
    def incidents(self) -> IncidentOperations:
        """What is done to incidents, where lineage is kept."""
        return IncidentOperations.beside(self.store.operations)
