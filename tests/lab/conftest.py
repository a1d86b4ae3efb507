"""What lab tests share: other processes, with this interpreter, as this user or as nobody."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import davylamp
from davylamp.paths import SIGNATURES

STRANGER = 54321  # a user id with no name, no home and no rights
_SOURCE = Path(davylamp.__file__).parents[1]

# As root, give an unprivileged user what it may not read where it is: the interpreter, the
# packages and the code, bound into a directory of its own in a mount namespace of its own.
_DROP = """
set -eu; where=$1 user=$2; shift 2
for part in python site source signatures; do
  mount --bind "$1" "$where/$part"; shift
done
exec setpriv --reuid "$user" --regid "$user" --clear-groups --inh-caps=-all "$@"
"""


type Starter = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def python(can_lab: None) -> Iterator[Starter]:
    """Start this interpreter with the given arguments; killed with the test if still there."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **environment: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


type Runner = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def as_stranger(can_lab: None) -> Iterator[tuple[Runner, Path]]:
    """Run this interpreter as a user without privilege; and the runtime directory it has."""
    if os.geteuid() != 0:

        def plain(*arguments: str) -> "subprocess.CompletedProcess[str]":
            return subprocess.run(
                [sys.executable, *arguments],
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )

        yield plain, Path(os.environ["DAVYLAMP_RUNTIME_DIR"])
        return
    where = Path(tempfile.mkdtemp(prefix="davylamp-test-"))
    where.chmod(0o755)
    for part in ("python", "site", "source", "signatures", "run"):
        (where / part).mkdir()
    os.chown(where / "run", STRANGER, STRANGER)
    site = next(path for path in sys.path if path.endswith("site-packages"))
    drop = ["unshare", "--mount", "sh", "-c", _DROP, "sh", str(where), str(STRANGER)]
    drop += [sys.base_prefix, site, str(_SOURCE), str(SIGNATURES)]
    drop += [str(where / "python/bin" / Path(os.path.realpath(sys.executable)).name)]
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": f"{where / 'source'}:{where / 'site'}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "LD_LIBRARY_PATH": str(where / "python/lib"),
        "DAVYLAMP_RUNTIME_DIR": str(where / "run"),
    }

    def dropped(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*drop, *arguments],
            env=environment,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    yield dropped, where / "run"
    shutil.rmtree(where, ignore_errors=True)
