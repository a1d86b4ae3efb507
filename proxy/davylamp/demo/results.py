"""What the demonstration saw, and whether it shows what it claims."""

from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median

from davylamp.events import AlertEvent

WALLET = "48edfHu7V9Z84YzzMa6fUueoELZ9ZRXq9VetWzYGzKt52XU5xvqgzYnDK9URnRoJMk1j8nLwEVsaSWJ4fhdUyZijBGUicoD"  # noqa: E501 - one address
"""A well-formed Monero address (the Monero project's published donation address)."""


class Actor(StrEnum):
    """Who did something, for the timeline."""

    TRAINER = "trainer"
    SANDBOX = "sandbox"
    DAVYLAMP = "davylamp"
    POOL = "pool"


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the timeline; ``at`` is seconds since the epoch."""

    at: float
    actor: Actor
    text: str


@dataclass(frozen=True, slots=True)
class BenignResult:
    """A piece of honest work and how it went; ``skipped`` says why it was not tried."""

    name: str
    good: bool
    detail: str
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of the miner: where, how, and what stopped it.

    ``outcome`` is that of the program (reset, refused, timed_out, ...), or mined or silent of one
    that says no more. ``after`` is seconds from its last request to the reset, None where it sent
    none, and ``when`` the same in words.
    """

    name: str
    outcome: str
    shares: int
    after: float | None = None
    when: str = ""

    @property
    def stopped(self) -> bool:
        """Whether it was cut off, and mined nothing; one that hangs was not cut off."""
        return self.shares == 0 and self.outcome in {"reset", "refused", "silent"}


@dataclass(frozen=True, slots=True)
class Throughput:
    """The rates of some downloads of ``size`` bytes, in bits per second: plain, and through it."""

    size: int
    without: tuple[float, ...]
    through: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """The gateway's share of plain forwarding, by the middle of each."""
        plain = median(self.without)
        return median(self.through) / plain if plain else 0.0


@dataclass(slots=True)
class Results:
    """Everything that was seen, gathered as the demonstration goes."""

    timeline: list[Moment] = field(default_factory=list)
    benign: list[BenignResult] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    alerts: list[AlertEvent] = field(default_factory=list)
    throughput: Throughput | None = None
    pool_connections: int = 0
    pool_bytes: int = 0
    pool_requests: int = 0
    pool_shares: int = 0
    tagged: bool = False
    expected_call: str = ""
    expected_container: str = ""

    @property
    def blocked(self) -> bool:
        """Whether every attempt was cut off and the pool got no complete request."""
        return (
            bool(self.attempts)
            and all(attempt.stopped for attempt in self.attempts)
            and self.pool_requests == 0
            and any(alert.verdict.action == "reject" for alert in self.alerts)
        )

    @property
    def attributed(self) -> bool:
        """Whether every mining alert names the container and tool call that did it."""
        return bool(self.alerts) and all(
            alert.lineage is not None
            and alert.lineage.container == self.expected_container
            and alert.lineage.tool_call_id == self.expected_call
            for alert in self.alerts
        )

    @property
    def undisturbed(self) -> bool:
        """Whether all honest work that was tried went well."""
        tried = [one for one in self.benign if not one.skipped]
        return bool(tried) and all(one.good for one in tried)

    @property
    def success(self) -> bool:
        """Whether the demonstration shows what it claims."""
        return self.blocked and self.attributed and self.undisturbed and self.tagged
