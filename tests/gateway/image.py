"""A sandbox whose trust stores are its own, changed the way ``davylamp ca install-hints`` says."""

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from davylamp.authority import IN_IMAGE, install_hints
from davylamp.lab.lab import Lab

_STORES = ("/etc/ssl/certs", "/usr/local/share/ca-certificates")


@dataclass(frozen=True)
class Image:
    """One sandbox as an image; ``home`` is where its programs write."""

    lab: Lab
    host: str
    authority: Path
    home: Path

    def set_up(self) -> None:
        """Give the sandbox copies of the host's trust stores, and install the authority."""
        for number, store in enumerate(_STORES):
            copy = self.home / f"store-{number}"
            self.sh(f"mkdir -p {store}; cp -a {store} {copy}; mount --bind {copy} {store}")
        self.run(["true"], "Debian, Ubuntu")

    def run(
        self,
        words: Sequence[str],
        *clients: str,
        env: Mapping[str, str] | None = None,
        timeout: float = 60,
        cwd: Path | None = None,
    ) -> str:
        """Do what the hints for these clients say, and run a program; return what it printed.

        It must end well.
        """
        hints = {hint.client: hint for hint in install_hints()}
        lines = [line for client in clients for line in hints[client].lines]
        text = "\n".join(lines).replace(IN_IMAGE, str(self.authority))
        return self.sh(f"{text}\nexec {shlex.join(words)}", env=env, timeout=timeout, cwd=cwd)

    def sh(
        self,
        script: str,
        env: Mapping[str, str] | None = None,
        timeout: float = 60,
        cwd: Path | None = None,
    ) -> str:
        """Run a script in the sandbox, trusting nobody that the test's own environment names."""
        given = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        given |= {
            "HOME": str(self.home),
            "GIT_CONFIG_SYSTEM": str(self.home / "gitconfig"),
            "GIT_TERMINAL_PROMPT": "0",
            "DAVYLAMP_RUNTIME_DIR": os.environ.get("DAVYLAMP_RUNTIME_DIR", ""),
            **(env or {}),
        }
        done = self.lab.run(
            self.host,
            ["sh", "-ec", script],
            env=self.lab.environment(given),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            cwd=cwd or self.home,
        )
        said: str = done.stdout.decode(errors="replace")
        assert done.returncode == 0, said
        return said
