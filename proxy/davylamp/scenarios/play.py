"""Plays a scenario as a trainer would: rollouts in sandboxes, each program in a tool call."""

import secrets
import time
from collections.abc import Callable

from davylamp.lineage import Client
from davylamp.scenarios.judge import judge
from davylamp.scenarios.model import Called, Facts, Result, Rolled, Rollout, Scenario
from davylamp.scenarios.stage import Stage

_STEP_SECONDS = 60.0

type Say = Callable[[str], None]


def play(scenario: Scenario, stage: Stage, say: Say) -> Result:
    """Play it once and judge what came of it. Raises what the lab raises where it fails."""
    begun = time.monotonic()
    token = secrets.token_hex(3)
    result = Result(scenario, f"{scenario.name}-{token}")
    received = stage.requests_received()
    with Client(stage.lineage_url) as trainer:
        rolled = [
            _roll(rollout, _facts(result, rollout, number), stage, trainer, say)
            for number, rollout in enumerate(scenario.rollouts, 1)
        ]
        judge(result, rolled, stage, trainer)
    result.expect(
        "no complete mining request left the subnet",
        stage.requests_received() == received,
        f"{stage.requests_received() - received} did",
    )
    result.seconds = time.monotonic() - begun
    return result


def _facts(result: Result, rollout: Rollout, number: int) -> Facts:
    experiment = result.experiment_id
    return Facts(
        container=f"sandbox-{experiment}-{number}",
        experiment_id=experiment,
        run_id=f"{experiment}-run-{rollout.run}",
        rollout_id=f"rollout-{number}",
        trajectory_id=f"trajectory-{number}",
    )


def _roll(rollout: Rollout, facts: Facts, stage: Stage, trainer: Client, say: Say) -> Rolled:
    calls = []
    with stage.sandbox(facts) as sandbox:
        for number, step in enumerate(rollout.steps, 1):
            call = f"call-{secrets.token_hex(4)}"
            say(f"{facts.container}: {step.tool}, step {number}: {' '.join(step.argv)}")
            with trainer.tool_call(
                container=facts.container,
                tool=step.tool,
                tool_call_id=call,
                step=number,
                rollout_id=facts.rollout_id,
                trajectory_id=facts.trajectory_id,
            ):
                done = sandbox.run(step.argv, _STEP_SECONDS)
            calls.append(Called(step, call, done))
    return Rolled(rollout, facts, tuple(calls))
