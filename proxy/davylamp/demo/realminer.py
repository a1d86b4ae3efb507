"""A real mining program in the demonstration, where one is installed; for some seconds only.

XMRig's options as in its documentation (xmrig.com/docs/miner/command-line-options).
"""

import shutil
import subprocess
import time

from davylamp.demo.results import WALLET, Attempt
from davylamp.demo.stage import Stage

_SECONDS = 12.0
_CUT_OFF = ("connect error", "connection reset", "read error", "end of file")


def command(pool: str) -> list[str] | None:
    """Return the command line of an installed miner for ``pool`` (host:port), or None."""
    program = shutil.which("xmrig")
    if program is None:
        return None
    options = ["--threads", "1", "--no-color", "--retries", "1", "--retry-pause", "1"]
    return [
        program,
        "--url",
        pool,
        "--user",
        WALLET,
        "--pass",
        "x",
        "--donate-level",
        "1",
        *options,
    ]


def attempt(stage: Stage, pool: str) -> Attempt | None:
    """Let the real miner try the pool; None where there is none."""
    argv = command(pool)
    if argv is None:
        return None
    miner = stage.lab.popen(
        "sandbox-1",
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    time.sleep(_SECONDS)
    miner.kill()
    said = miner.communicate()[0].casefold()
    return judge(said)


def judge(said: str) -> Attempt:
    """Return what became of the miner, from its output in lower case."""
    shares = said.count("accepted (")
    cut = any(words in said for words in _CUT_OFF)
    outcome = "mined" if shares else "reset" if cut else "silent"
    return Attempt("XMRig itself, port 3333", outcome, shares)
