"""Run every fuzz target for a while, or one failing input again.

    python fuzz/run.py --seconds 60                   each target under fuzz/targets
    python fuzz/run.py --target inspector             one of them
    python fuzz/run.py --reproduce fuzz/failures/inspector-1a2b3c4d

A target is a file with ``SEEDS`` (bytes that reach deep) and ``fuzz_one(data)``, which raises
where davylamp is wrong. One with ``one_pass(data)`` is also timed: over 10 ms of processor time for
an input is a failure. Exit status: 0 nothing was found, 1 an input failed and was kept.
"""

import argparse
import hashlib
import importlib.util
import sys
import time
import traceback
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from fuzz.engine import Outcome, attempt, fuzz, limits, pass_seconds  # noqa: E402 - after the path is set

FAILURES = HERE / "failures"


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description="Fuzz davylamp.")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each target")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="repeats a run")
    parser.add_argument("--target", help="only this one")
    parser.add_argument("--reproduce", type=Path, help="run one kept input again")
    arguments = parser.parse_args()
    if arguments.reproduce:
        return reproduce(arguments.reproduce)
    paths = sorted((HERE / "targets").glob("*.py"))
    chosen = [path for path in paths if arguments.target in {None, path.stem}]
    if not chosen:
        parser.error(f"no target {arguments.target}; there are {', '.join(p.stem for p in paths)}")
    print(f"seed {arguments.seed}")
    # Every target runs, also after one has failed.
    failed = [path for path in chosen if not run(path, arguments.seconds, arguments.seed)]
    return 1 if failed else 0


def run(path: Path, seconds: float, seed: int) -> bool:
    """Fuzz one target and say how it went; return whether nothing was found."""
    module = load(path)
    one_pass = getattr(module, "one_pass", None)
    outcome = fuzz(module.fuzz_one, module.SEEDS, seconds=seconds, seed=seed, one_pass=one_pass)
    summary = f"{outcome.tried} inputs, {outcome.lines} lines, {outcome.kept} kept"
    if one_pass is not None:
        summary += f", {1000 * outcome.slowest:.1f} ms at most"
    print(f"{path.stem:<12} {summary}{'' if outcome.error is None else ', FAILED'}", flush=True)
    if outcome.error is not None:
        keep(path.stem, outcome)
    return outcome.error is None


def keep(name: str, outcome: Outcome) -> None:
    """Save the failing input and print what it did."""
    assert outcome.failing is not None
    assert outcome.error is not None
    FAILURES.mkdir(exist_ok=True)
    kept = FAILURES / f"{name}-{hashlib.sha256(outcome.failing).hexdigest()[:8]}"
    kept.write_bytes(outcome.failing)
    traceback.print_exception(outcome.error)
    print(f"kept; run it again with: python fuzz/run.py --reproduce {kept}")


def reproduce(path: Path) -> int:
    """Run one kept input again."""
    name, _, _ = path.name.rpartition("-")
    module = load(HERE / "targets" / f"{name}.py")
    with limits():
        error = attempt(module.fuzz_one, path.read_bytes())
    if error is None and (one_pass := getattr(module, "one_pass", None)) is not None:
        print(f"{1000 * pass_seconds(one_pass, path.read_bytes()):.1f} ms in one pass")
    if error is None:
        print(f"{path.name} passes now")
        return 0
    traceback.print_exception(error)
    return 1


def load(path: Path) -> ModuleType:
    """Import a target by its path."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    sys.exit(main())
