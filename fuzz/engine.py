"""A small coverage-guided fuzzer, so that `make fuzz` needs nothing that is not in the lock.

Strategy: a corpus of inputs is mutated, and an input that makes a new line of davylamp run joins
it. Lines are learned through sys.monitoring (PEP 669): each fires once and is then disabled, so
looking costs nothing once the easy lines are known. A run is repeatable from its seed.
"""

import random
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType

PACKAGE = str(Path(__file__).resolve().parents[1] / "proxy" / "davylamp")
MAX_INPUT = 16 * 1024
MAX_CORPUS = 2000
SECONDS_PER_INPUT = 5.0
SECONDS_PER_PASS = 0.010
"""Processor time that one pass over one input may take, at the best of a few tries."""
_TRIES = 5
_TIMED = 8  # one input in so many is timed, and each that is kept
MEMORY = 4 << 30

type Target = Callable[[bytes], None]


class Hang(Exception):  # noqa: N818 - a fuzzer's word
    """One input took longer than ``SECONDS_PER_INPUT``."""


class Slow(Exception):  # noqa: N818 - likewise
    """One pass over an input took longer than ``SECONDS_PER_PASS``."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run found: inputs tried, inputs kept, lines reached, and the failure if any.

    ``slowest`` is the longest pass in seconds of processor time, 0 where none was timed.
    """

    tried: int
    kept: int
    lines: int
    slowest: float = 0.0
    failing: bytes | None = None
    error: Exception | None = None


class Coverage:
    """Counts the lines of davylamp that have run since it was switched on."""

    def __init__(self) -> None:
        self.lines = 0

    @contextmanager
    def on(self) -> Iterator[None]:
        """Watch while the body runs."""
        tool = sys.monitoring.COVERAGE_ID
        sys.monitoring.use_tool_id(tool, "davylamp-fuzz")
        sys.monitoring.register_callback(tool, sys.monitoring.events.LINE, self._line)
        sys.monitoring.set_events(tool, sys.monitoring.events.LINE)
        sys.monitoring.restart_events()
        try:
            yield
        finally:
            sys.monitoring.set_events(tool, 0)
            sys.monitoring.free_tool_id(tool)

    def _line(self, code: CodeType, line: int) -> object:
        del line
        if code.co_filename.startswith(PACKAGE):
            self.lines += 1
        return sys.monitoring.DISABLE


def fuzz(
    target: Target,
    seeds: Sequence[bytes],
    *,
    seconds: float,
    seed: int,
    one_pass: Target | None = None,
) -> Outcome:
    """Run ``target`` on the seeds and on mutants of them until it raises or time is up.

    ``one_pass`` takes an input once, as davylamp itself would, and is what is timed.
    """
    chance = random.Random(seed)
    corpus: list[bytes] = []
    coverage = Coverage()
    tried, slowest = 0, 0.0
    deadline = time.monotonic() + seconds
    with coverage.on(), limits():
        while time.monotonic() < deadline:
            data = seeds[tried] if tried < len(seeds) else mutate(chance, corpus)
            tried += 1
            before = coverage.lines
            error = attempt(target, data)
            new = coverage.lines > before or tried <= len(seeds)
            if error is None and one_pass is not None and (new or not tried % _TIMED):
                slowest = max(slowest, took := pass_seconds(one_pass, data))
                if took > SECONDS_PER_PASS:
                    error = Slow(f"{1000 * took:.1f} ms for {len(data)} bytes")
            if error is not None:
                return Outcome(tried, len(corpus), coverage.lines, slowest, data, error)
            if new:
                if len(corpus) >= MAX_CORPUS:
                    corpus.pop(chance.randrange(len(corpus)))
                corpus.append(data)
    return Outcome(tried, len(corpus), coverage.lines, slowest)


def attempt(target: Target, data: bytes) -> Exception | None:
    """Run one input under a time limit; return what it raised."""
    signal.setitimer(signal.ITIMER_REAL, SECONDS_PER_INPUT)
    try:
        target(data)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
        return error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return None


def pass_seconds(one_pass: Target, data: bytes) -> float:
    """Return the processor time of one pass; more are made only where the first is too long."""
    best = float("inf")
    for _ in range(_TRIES):
        began = time.process_time()
        one_pass(data)
        best = min(best, time.process_time() - began)
        if best <= SECONDS_PER_PASS:
            break
    return best


@contextmanager
def limits() -> Iterator[None]:
    """Turn a hang and unbounded memory into exceptions while the body runs."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise Hang(f"no end after {SECONDS_PER_INPUT} s")

    handler = signal.signal(signal.SIGALRM, ring)
    memory = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, memory[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, memory)
        signal.signal(signal.SIGALRM, handler)


def mutate(chance: random.Random, corpus: Sequence[bytes]) -> bytes:
    """Return a corpus entry with one to eight changes."""
    data = bytearray(chance.choice(corpus))
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        at = chance.randrange(len(data) + 1)
        size = min(chance.choice((1, 1, 2, 4, 16, 64, 512)), len(data) - at)
        match chance.randrange(8):
            case 0 if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
            case 1 if at < len(data):
                data[at] = chance.choice((0, 1, 9, 10, 13, 34, 92, 123, 125, 127, 128, 255))
            case 2:
                del data[at : at + size]
            case 3:
                data[at:at] = data[at : at + size] * chance.choice((1, 2, 50))
            case 4:
                data[at:at] = chance.randbytes(size)
            case 5 | 6:
                other = chance.choice(corpus)
                start = chance.randrange(len(other) + 1)
                data[at : at + size] = other[start : start + chance.choice((4, 64, 1024))]
            case _:
                width = chance.choice((1, 2, 4))
                data[at : at + width] = chance.choice((0, 1, -1, 1 << 15)).to_bytes(
                    4, "big", signed=True
                )[-width:]
    return bytes(data[:MAX_INPUT])
