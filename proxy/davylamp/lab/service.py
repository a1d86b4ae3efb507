"""A lab program at work: started in a host, waited for, listened to, and ended."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from davylamp.errors import KernelError
from davylamp.lab.lab import Host, Lab

READY_SECONDS = 20.0
STOP_SECONDS = 5.0

type Line = dict[str, Any]


class Service:
    """A program of ``lab.programs`` that says JSON lines; ``lines`` holds what it said so far.

    With ``script`` that file runs instead, called ``program`` in messages.
    """

    def __init__(
        self,
        lab: Lab,
        host: Host | str,
        program: str,
        *arguments: str,
        script: Path | None = None,
    ) -> None:
        self.name = program
        self.lines: list[Line] = []
        self._said = threading.Condition()
        self._log = (lab.directory / f"{program}-{time.monotonic_ns()}.log").open("w+")
        which = [str(script)] if script else ["-m", f"davylamp.lab.programs.{program}"]
        self.process = lab.popen(
            host,
            [sys.executable, *which, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def wait_ready(self, seconds: float = READY_SECONDS) -> Self:
        """Wait until the program says it is ready; raise KernelError with its complaint if not."""
        with self._said:
            self._said.wait_for(lambda: bool(self.lines) or self._ended(), seconds)
        if not self.lines or not self.lines[0].get("ready"):
            raise KernelError(f"lab program {self.name} did not start: {self.complaint()}")
        return self

    def wait(self, seconds: float) -> int:
        """Wait until the program ends by itself; return its exit status, or kill it."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._reader.join()
        self._log.close()
        return code

    def stop(self) -> int:
        """End the program and return its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.wait(STOP_SECONDS)

    def events(self, name: str) -> list[Line]:
        """Return the lines whose ``event`` is ``name``."""
        return [line for line in self.lines if line.get("event") == name]

    def complaint(self) -> str:
        """Return the end of what the program wrote to standard error."""
        return Path(self._log.name).read_text(errors="replace")[-2000:].strip() or "(silent)"

    def __enter__(self) -> Self:
        return self.wait_ready()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _ended(self) -> bool:
        return self.process.poll() is not None and not self._reader.is_alive()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for text in stream:
                with self._said:
                    self.lines.append(_parse(text))
                    self._said.notify_all()
        with self._said:
            self._said.notify_all()


def run_program(
    lab: Lab, host: Host | str, program: str, arguments: Sequence[str], seconds: float
) -> Service:
    """Run a program to its end, at most ``seconds``; its lines and exit status are in the result.

    ``process.returncode`` is the exit status.
    """
    service = Service(lab, host, program, *arguments)
    service.wait(seconds)
    return service


def _parse(text: str) -> Line:
    try:
        line = json.loads(text)
    except ValueError:
        return {"text": text.rstrip("\n")}
    return line if isinstance(line, dict) else {"text": text.rstrip("\n")}
