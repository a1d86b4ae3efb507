"""A real miner's output as the demonstration reads it."""

import pytest

from davylamp.demo.realminer import judge

# name, output (XMRig 6, shortened), outcome, shares
CASES = [
    ("cut off", '[203.0.113.10:3333] read error: "connection reset by peer"\n', "reset", 0),
    ("refused", '[203.0.113.10:3333] connect error: "connection refused"\n', "reset", 0),
    ("mining", " cpu      accepted (1/0) diff 1000 (12 ms)\n", "mined", 1),
    ("silent", " * about        xmrig/6.22.2 gcc/13.2.1\n", "silent", 0),
]


@pytest.mark.parametrize(("name", "said", "outcome", "shares"), CASES)
def test_output_is_judged(name: str, said: str, outcome: str, shares: int) -> None:
    """An accepted share is never overlooked, and a cut connection is told from silence."""
    attempt = judge(said)
    assert (attempt.outcome, attempt.shares) == (outcome, shares), name
