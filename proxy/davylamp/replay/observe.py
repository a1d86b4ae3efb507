"""The inspection that a replay uses: the gateway's own, told that it reads a trace and only looks.

In observe mode a verdict says what enforcing would have done, and nothing after the first finding
is missed because a connection was cut.
"""

from pathlib import Path

from davylamp.pipeline import Pipeline, Vantage
from davylamp.policy import Mode, Policy
from davylamp.replay.onefile import SinkFactory
from davylamp.signatures.disk import load_directory


def observers(signatures: Path) -> SinkFactory:
    """Load a signature pack and return a maker of inspections; raise PackError if it is bad."""
    pack = load_directory(signatures)
    policy = Policy(mode=Mode.OBSERVE)

    def observer() -> Pipeline:
        return Pipeline(pack, policy, vantage=Vantage.TRACE)

    return observer
