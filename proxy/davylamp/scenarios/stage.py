"""What a scenario needs of a lab, whichever it is."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from davylamp.scenarios.model import Done, Facts


class Sandbox(Protocol):
    """A sandbox that stands, and that the gateway can name."""

    def run(self, argv: Sequence[str], seconds: float) -> Done:
        """Run a step's program (`Step.argv`) to its end."""
        ...


class Stage(Protocol):
    """A lab with a gateway and an outside world."""

    lineage_url: str

    def sandbox(self, facts: Facts) -> AbstractContextManager[Sandbox]:
        """Give a sandbox that is known by these facts, until the block is left."""
        ...

    def fetch(self, path: str) -> bytes:
        """Return what the gateway's API says under a path, or b'' where it says no."""
        ...

    def requests_received(self) -> int:
        """Return how many complete mining requests have reached anyone outside."""
        ...
