"""Runs a page's commands in one bash, as somebody would who reads the page."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs.blocks import Command

# Commands that go on until they are stopped, and what they have said once they are at work.
ENDLESS = {
    "davylamp gateway": "INFO: ready",
    "davylamp lab exec outside -- python3 -m http.server": "Serving HTTP",
}
_STATUS = re.compile(r"# .*\bexit status (\d)")
_END = "\x1e"
_BEGIN = f"""
exec 2>&1
started=()
begin() {{  # until it says $1, $2 has the terminal; then it goes on by itself
  bash -c "exec $2" > "said-${{#started[@]}}" 2>&1 & started+=($!)
  for _ in {{1..600}}; do
    grep -q "$1" "said-$((${{#started[@]}} - 1))" && return 0
    kill -0 $! || break
    sleep 0.05
  done
  cat said-*
  return 1
}}
over() {{ for each in "${{started[@]}}"; do kill "$each"; wait "$each"; echo "{_END}$?"; done; }}
"""


@dataclass(frozen=True, slots=True)
class Shell:
    """Where commands are run: a directory, variables, and words that put a program elsewhere."""

    directory: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    enter: Callable[[Sequence[str], Path], Sequence[str]] = lambda words, _: words

    def environment(self) -> dict[str, str]:
        """Return a user's variables, with none of davylamp's but those of this shell."""
        own = {key: value for key, value in os.environ.items() if not key.startswith("DAVYLAMP_")}
        path = f"{Path(sys.executable).parent}:{own['PATH']}:/usr/sbin:/sbin"
        said = {
            "PATH": path,
            "HOME": str(self.directory),
            "PYTHONUNBUFFERED": "1",
            "COLUMNS": "120",
        }
        return {**own, **said, **self.variables}

    def bash(self, script: str) -> str:
        """Run a script to its end; return all that it printed."""
        done = subprocess.run(
            self.enter(["bash", "-c", script], self.directory),
            cwd=self.directory,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        return done.stdout

    def type(self, commands: Sequence[Command]) -> list[str]:
        """Run commands one after the other; return what is wrong with what came of them."""
        lines = [_BEGIN, *(f'{_line(each)}\necho "{_END}$?"' for each in commands), "over"]
        said = self.bash("\n".join(lines))
        outputs = re.split(rf"{_END}(\d+)\n", said)
        if len(outputs) < 2 * len(commands):
            return [f"the shell ended early: {said}"]
        faults = [
            fault
            for command, output, status in zip(commands, outputs[::2], outputs[1::2], strict=False)
            if (fault := _fault(command, output, int(status)))
        ]
        ended = outputs[2 * len(commands) + 1 :: 2]
        # 143: by the SIGTERM that `over` sends.
        return faults + [f"ended with {one}" for one in ended if one not in {"0", "143"}]


def _line(command: Command) -> str:
    for words, text in ENDLESS.items():
        if command.text.startswith(words):
            whole = shlex.join(shlex.split(command.text, comments=True))
            return f"begin {shlex.quote(text)} {shlex.quote(whole)}"
    return command.text


def _fault(command: Command, output: str, status: int) -> str:
    expected = int(said[1]) if (said := _STATUS.search(command.text)) else 0
    if status != expected:
        return f"`{command.text}` ended with {status}, not {expected}:\n{output}"
    if command.text.startswith("redis-cli") and not output.strip():
        return f"`{command.text}` found nothing"
    if command.output and alike(command.output) != alike(output):
        return f"`{command.text}` printed:\n{output}"
    return ""


def alike(output: str) -> str:
    """Return output without what differs from run to run: figures, times, ids and spaces."""
    return " ".join(re.sub(r"\b[0-9a-f]*\d[\w.:+-]*", "#", output).split())
