"""What was measured both ways, and the arithmetic of comparing it. Pure.

Strategy: a shared machine is faster one minute and slower the next, so plain forwarding and the
gateway take turns, and each round gives one ratio of its own. The ratio reported is the median of
those, with the lowest and highest beside it; it need not be the quotient of the two medians.
"""

from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from davylamp.errors import ConfigError


class Way(StrEnum):
    """How packets were forwarded."""

    PLAIN = "plain"
    GATEWAY = "gateway"


class Metric(StrEnum):
    """What was measured. Bulk is bits a second received, latency is seconds."""

    UPLOAD = "upload"
    DOWNLOAD = "download"
    CONNECTIONS = "connections"
    LATENCY_P50 = "latency_p50"
    LATENCY_P99 = "latency_p99"


TARGETS = {Metric.UPLOAD: 0.90, Metric.DOWNLOAD: 0.90, Metric.CONNECTIONS: 0.70}
"""The least share of plain forwarding's figure that the project holds itself to."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure: ``seconds`` of each metric, each way, in each of ``rounds`` rounds.

    ``workers`` is the gateway's number of queue workers, None for its default.
    """

    seconds: int
    rounds: int
    workers: int | None = None

    def order(self) -> tuple[Way, ...]:
        """Return whose turn it is, in order: A B, B A, A B, ...

        Turning every other round about cancels a steady drift of the machine, and spares a start
        of the gateway between two rounds.
        """
        pair = (Way.PLAIN, Way.GATEWAY)
        return tuple(
            way for n in range(self.rounds) for way in (pair if n % 2 == 0 else pair[::-1])
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric, round by round: ``plain[n]`` and ``gateway[n]`` were measured in turn.

    Both have the same length, at least 1.
    """

    metric: Metric
    plain: tuple[float, ...]
    gateway: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.plain or len(self.plain) != len(self.gateway):
            raise ConfigError(f"{self.metric}: measure both ways, and each as often as the other")

    @property
    def plain_median(self) -> float:
        """The middle figure of plain forwarding."""
        return median(self.plain)

    @property
    def gateway_median(self) -> float:
        """The middle figure through the gateway."""
        return median(self.gateway)

    @property
    def ratios(self) -> tuple[float, ...]:
        """Gateway over plain, round by round; 0 where plain forwarding moved nothing."""
        pairs = zip(self.plain, self.gateway, strict=True)
        return tuple(through / plain if plain else 0.0 for plain, through in pairs)

    @property
    def ratio(self) -> float:
        """The middle one of the rounds' ratios."""
        return median(self.ratios)

    @property
    def met(self) -> bool | None:
        """Whether the ratio reaches the project's target; None where there is no target."""
        target = TARGETS.get(self.metric)
        return None if target is None else self.ratio >= target


@dataclass(frozen=True, slots=True)
class Effort:
    """What the gateway did in the kernel meanwhile, from its nft counters, over all rounds.

    ``units`` is how many connections, or bytes of bulk, that was for. ``queued`` packets went to
    user space; ``triggered`` are those of them from flows already cleared; ``sampled`` packets
    were copied to the sampler.
    """

    units: int = 0
    queued: int = 0
    triggered: int = 0
    sampled: int = 0

    def plus(self, other: "Effort") -> "Effort":
        """Return the sum of both."""
        return Effort(
            self.units + other.units,
            self.queued + other.queued,
            self.triggered + other.triggered,
            self.sampled + other.sampled,
        )

    def queued_per(self, unit: float = 1.0) -> float:
        """Return queued packets for each ``unit`` units; 0 where there were none."""
        return self.queued * unit / self.units if self.units else 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that one run found.

    ``tools`` says by which programs bulk and connections were measured; ``failed`` counts requests
    that broke, by way.
    """

    plan: Plan
    machine: str
    tools: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    bulk: Effort
    connections: Effort
    failed: dict[Way, int]

    @property
    def met(self) -> bool:
        """Whether every target is reached."""
        return all(one.met is not False for one in self.comparisons)
