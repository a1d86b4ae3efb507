"""The example trainers, run as they are against a real store."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from davylamp.attribution.feedback import FeedbackOperations, RolloutVerdict
from davylamp.attribution.server import EmbeddedRedis
from davylamp.attribution.store import Store

_EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"


@pytest.mark.parametrize(
    ("example", "run_id", "rollout_id", "kept", "masked"),
    [
        (
            "agent_loop.py",
            "run-1",
            "rollout-2",
            "1 ['echo hi', 'hi'] [1, 0] ",
            "2 ['echo hi', 'hi'] [0, 0] CryptoNote login (inc-1)",
        ),
        (
            "env_manager.py",
            "run-2",
            "env-2",
            "env-1 [('echo one', 'one'), ('echo two', 'two')]",
            "",
        ),
    ],
)
def test_an_example_learns_from_what_counts(
    server: EmbeddedRedis, example: str, run_id: str, rollout_id: str, kept: str, masked: str
) -> None:
    """The rollout that a miner was stopped in is masked or dropped, and no other is."""
    with Store(server.url) as store:
        operations = FeedbackOperations.beside(store.operations)
        verdict = RolloutVerdict(
            run_id=run_id,
            rollout_id=rollout_id,
            valid=False,
            at=time.time(),
            reason="CryptoNote login",
            incident_id="inc-1",
        )
        store.run(operations.mark(verdict))
        done = subprocess.run(
            [sys.executable, str(_EXAMPLES / example)],
            env={**os.environ, "DAVYLAMP_LINEAGE_URL": server.url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert kept in lines
        assert not masked or masked in lines
        assert [line for line in lines if rollout_id in line] == []
        calls = store.run(store.operations.look_up(f"sandbox-{rollout_id[-1]}"))
        assert calls is not None
        assert len(calls.calls) == (1 if example == "agent_loop.py" else 2)
        assert {binding.rollout_id for binding in calls.bindings} == {rollout_id}
        assert all(binding.valid_to is not None for binding in calls.bindings)
