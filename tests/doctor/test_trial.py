"""The kernel is really tried, and never in the host's own network."""

import os
import subprocess
import sys

import pytest

from davylamp.doctor.trial import TRIALS, run_apart
from davylamp.lab.namespaces import why_not


@pytest.mark.lab
def test_every_trial_comes_to_something() -> None:
    """Where a lab can be built, the trials run and the sockets that a gateway needs work."""
    if reason := why_not():
        pytest.skip(reason)
    outcomes = run_apart()
    assert set(outcomes) == set(TRIALS)
    assert all(outcome.said for outcome in outcomes.values())
    for name in ("nft", "nfqueue", "nflog", "raw_sockets", "ruleset"):
        assert outcomes[name].ok, outcomes[name].said


def test_the_hosts_own_network_is_never_tried() -> None:
    """Started by hand, the trials refuse to touch the namespace of whoever starts them."""
    done = subprocess.run(
        [sys.executable, "-m", "davylamp.doctor.trial"],
        capture_output=True,
        text=True,
        env=os.environ,
        check=False,
    )
    assert done.returncode == 1
    assert "own network namespace" in done.stderr
    assert not done.stdout
