"""Rollouts as environments that are stepped, in the manner of ROLL's environment managers.

    DAVYLAMP_LINEAGE_URL=redis://... python docs/examples/env_manager.py

Each environment is a sandbox; a step is a tool call, recorded by a decorator. Trajectories wait in
a buffer, and those of rollouts that davylamp speaks against are dropped from it before the update,
also when the news comes after the rollout ended.
"""

# ruff: noqa: INP001, T201 - an example, whose output is its purpose

import os
import subprocess
from dataclasses import dataclass, field

from davylamp import lineage


@dataclass
class Trajectory:
    """What one environment did."""

    rollout_id: str
    steps: list[tuple[str, str]] = field(default_factory=list)


class Environment:
    """One sandbox; ``reset`` and ``step`` as reinforcement learning has them."""

    def __init__(self, client: lineage.Client, number: int, run_id: str) -> None:
        self.rollout_id = f"env-{number}"
        self._client = client
        self._run_id = run_id
        self._name, self._ip = f"sandbox-{number}", f"10.0.1.{number}"
        # Every invocation of what this returns is one tool call of that container.
        self.step = client.tool_call(container=self._name, tool="shell")(self._step)

    def reset(self) -> None:
        """Start afresh: bind before the sandbox starts."""
        self._client.bind(
            ip=self._ip, container=self._name, run_id=self._run_id, rollout_id=self.rollout_id
        )

    def close(self) -> None:
        """Give the address up."""
        self._client.release(container=self._name)

    def _step(self, action: str) -> str:
        done = subprocess.run(action, shell=True, capture_output=True, text=True, check=False)  # noqa: S602
        return done.stdout.strip()


def collect(client: lineage.Client, run_id: str, environments: int) -> list[Trajectory]:
    """Step every environment through its episode."""
    buffer: list[Trajectory] = []
    for number in range(1, environments + 1):
        environment = Environment(client, number, run_id)
        environment.reset()
        trajectory = Trajectory(environment.rollout_id)
        for action in ("echo one", "echo two"):
            trajectory.steps.append((action, environment.step(action)))
        environment.close()
        buffer.append(trajectory)
    return buffer


def without_invalid(
    client: lineage.Client, run_id: str, buffer: list[Trajectory]
) -> list[Trajectory]:
    """Drop what must not be learned from.

    The stream has each verdict once for each group of readers; ``rollout_verdict`` asks for one.
    """
    invalid = {
        verdict.rollout_id
        for verdict in client.feedback(group="update", wait=1.0, since_start=True)
        if verdict.run_id == run_id and not verdict.valid
    }
    return [one for one in buffer if one.rollout_id not in invalid]


def main() -> None:
    """Collect three trajectories, and keep those that count."""
    with lineage.Client(os.environ["DAVYLAMP_LINEAGE_URL"]) as client:
        buffer = collect(client, "run-2", 3)
        for trajectory in without_invalid(client, "run-2", buffer):
            print(trajectory.rollout_id, trajectory.steps)


if __name__ == "__main__":
    main()
