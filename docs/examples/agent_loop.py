"""A rollout as an asynchronous agent loop, in the manner of verl's ``AgentLoopBase.run``.

    DAVYLAMP_LINEAGE_URL=redis://... python docs/examples/agent_loop.py

The policy turns a prompt into tool calls and the sandbox runs them; here both are a few lines, so
that the file runs as it is. What matters is marked with (1) to (4).
"""

# ruff: noqa: INP001, T201 - an example, whose output is its purpose

import asyncio
import os
import sys
from dataclasses import dataclass, field

from davylamp import lineage


@dataclass
class Output:
    """What a trainer learns from: tokens, and which of them count."""

    response: list[str] = field(default_factory=list)
    response_mask: list[int] = field(default_factory=list)
    why_masked: str = ""


@dataclass(frozen=True)
class Sandbox:
    """Where tools run; your runtime gives it its name and address."""

    name: str
    ip: str

    async def execute(self, command: str) -> str:
        """Run a command; a real sandbox runs it inside."""
        process = await asyncio.create_subprocess_shell(command, stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
        return out.decode()


async def run(
    client: lineage.Client, sandbox: Sandbox, run_id: str, rollout_id: str, commands: list[str]
) -> Output:
    """Generate one rollout of several turns."""
    # (1) Before the sandbox starts: who will have this address.
    client.bind(ip=sandbox.ip, container=sandbox.name, run_id=run_id, rollout_id=rollout_id)
    output = Output()
    for step, command in enumerate(commands):
        # (2) Around each tool call: that it runs. Its id is the one your trace has for it.
        call_id = f"{rollout_id}-{step}"
        with client.tool_call(container=sandbox.name, tool="bash", tool_call_id=call_id, step=step):
            answer = await sandbox.execute(command)
        output.response += [command, answer.strip()]
        output.response_mask += [1, 0]  # the policy's words count, the tool's do not
    # (3) The address is free for the next rollout.
    client.release(container=sandbox.name)
    # (4) A rollout in which a miner was stopped teaches nothing.
    verdict = client.rollout_verdict(run_id=run_id, rollout_id=rollout_id)
    if verdict is not None and not verdict.valid:
        output.response_mask = [0] * len(output.response_mask)
        output.why_masked = f"{verdict.reason} ({verdict.incident_id})"
    return output


async def main() -> None:
    """Run two rollouts at once."""
    with lineage.Client(os.environ["DAVYLAMP_LINEAGE_URL"]) as client:
        rollouts = [
            run(
                client, Sandbox(f"sandbox-{n}", f"10.0.0.{n}"), "run-1", f"rollout-{n}", ["echo hi"]
            )
            for n in (1, 2)
        ]
        for number, output in enumerate(await asyncio.gather(*rollouts), 1):
            print(number, output.response, output.response_mask, output.why_masked)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
