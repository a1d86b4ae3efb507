"""What a pool's dialect says back: messages to send, and what became of a share."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from davylamp.lab.programs.report import Json

# Shares remembered per connection, to tell duplicates; a miner that sends more is cut off.
MAX_SHARES = 100_000
# Jobs that a late share may still refer to.
KEPT_JOBS = 8


class Dialect(StrEnum):
    """The two dialects the pool speaks."""

    STRATUM = "stratum"
    CRYPTONOTE = "cryptonote"


@dataclass(frozen=True, slots=True)
class Answer:
    """The messages to send, in order; ``share`` is None where no share was submitted."""

    messages: tuple[dict[str, Json], ...] = ()
    share: bool | None = None
    reason: str = ""


class PoolSession(Protocol):
    """One connection's side of a dialect: requests in, answers out, no sockets."""

    def answer(self, request: Mapping[str, Json], now: float) -> Answer:
        """Answer one request; ``now`` is Unix time in seconds."""
        ...

    def push(self, now: float) -> Answer:
        """Return what the pool says unasked: a new job."""
        ...
