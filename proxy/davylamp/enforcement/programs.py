"""The two programs that write rules, ``nft`` and ``iptables``, and what their failures mean."""

import os
import subprocess
import tempfile
from pathlib import Path

from davylamp.errors import KernelError

_TIMEOUT = 20.0
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def run(arguments: tuple[str, ...], stdin: str = "") -> str:
    """Run a program to its end and return its output.

    Raises KernelError with the program's own words when it fails, is missing, or takes longer
    than 20 seconds.
    """
    try:
        done = subprocess.run(
            arguments,
            input=stdin,
            capture_output=True,
            text=True,
            errors="surrogateescape",  # others' rules have comments, too
            timeout=_TIMEOUT,
            check=False,
            env=_environment(),
        )
    except FileNotFoundError as error:
        package = "nftables" if arguments[0] == "nft" else "iptables"
        raise KernelError(
            f"{arguments[0]} is not installed; run: apt-get install {package}"
        ) from error
    except OSError as error:
        raise KernelError(f"{arguments[0]} cannot be started: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise KernelError(f"{arguments[0]} did not finish in {_TIMEOUT:.0f} s") from error
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        said = "; ".join(lines[:2]) or f"exit status {done.returncode}"
        raise KernelError(f"{' '.join(arguments)}: {said}")
    return done.stdout


def nft(*arguments: str, stdin: str = "") -> str:
    """Run ``nft``; raise KernelError as :func:`run` does."""
    return run(("nft", *arguments), stdin)


def _environment() -> dict[str, str]:
    """Let an ordinary user find the programs, and legacy iptables write its lock file.

    In a user namespace we may be root and yet /run is not ours.
    """
    environment = dict(os.environ)
    environment["PATH"] = os.pathsep.join((environment.get("PATH", os.defpath), *_SBIN))
    if "XTABLES_LOCKFILE" not in environment and not os.access("/run", os.W_OK):
        lock = Path(tempfile.gettempdir()) / f"davylamp-xtables-{os.getuid()}.lock"
        environment["XTABLES_LOCKFILE"] = str(lock)
    return environment
