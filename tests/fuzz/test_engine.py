"""The fuzzer finds what it is for, and every target holds on its own seeds."""

import random
import time
from pathlib import Path

import pytest
from fuzz.engine import MAX_INPUT, Slow, attempt, fuzz, limits, mutate
from fuzz.records import join, split
from fuzz.run import load

from davylamp import paths
from davylamp.flow import Direction
from davylamp.inspection.inspector import Inspector
from davylamp.signatures.disk import load_directory

TARGETS = sorted((Path(__file__).resolve().parents[2] / "fuzz" / "targets").glob("*.py"))


@pytest.mark.parametrize("path", TARGETS, ids=lambda path: path.stem)
def test_target_holds_on_its_seeds(path: Path) -> None:
    """A target's seeds, each cut at every 16th byte too, find nothing."""
    module = load(path)
    for seed in module.SEEDS:
        for end in (*range(0, len(seed), 16), len(seed)):
            module.fuzz_one(seed[:end])


def test_planted_fault_is_found() -> None:
    """An input that a few mutations away from the seed breaks the target is found and returned."""

    def target(data: bytes) -> None:
        if data.startswith(b"\xff") and len(data) > 8:
            raise ZeroDivisionError

    outcome = fuzz(target, [b"harmless"], seconds=60, seed=1)
    assert isinstance(outcome.error, ZeroDivisionError)
    assert outcome.failing is not None
    assert outcome.failing.startswith(b"\xff")


def test_new_lines_of_davylamp_join_the_corpus() -> None:
    """An input that reaches further than any before it is kept for mutation."""
    pack = load_directory(paths.SIGNATURES / "core")

    def target(data: bytes) -> None:
        Inspector(pack).receive(Direction.ORIGINATOR, data, 0.0)

    outcome = fuzz(target, [b"x", b"SSH-2.0-OpenSSH_9.2\r\n"], seconds=2, seed=1)
    assert outcome.error is None
    assert outcome.lines > 50
    assert outcome.kept > 2


def test_hang_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """An input that never ends is stopped and called a failure."""
    monkeypatch.setattr("fuzz.engine.SECONDS_PER_INPUT", 0.05)

    def target(data: bytes) -> None:
        while data:
            time.sleep(0.001)

    with limits():
        error = attempt(target, b"x")
    assert "no end" in str(error)


def test_same_seed_same_inputs() -> None:
    """A run can be repeated from its seed, and no input outgrows its bound."""
    corpus = [b"GET / HTTP/1.1\r\n\r\n", b"\0" * MAX_INPUT]
    one, two = random.Random(7), random.Random(7)
    first = [mutate(one, corpus) for _ in range(500)]
    assert first == [mutate(two, corpus) for _ in range(500)]
    assert max(map(len, first)) <= MAX_INPUT
    assert len(set(first)) > 400


def test_records_survive_their_round_trip() -> None:
    """What is joined is split again, and a cut tail is read as far as it goes."""
    records = [(0, b"abc"), (255, b""), (7, b"\0" * 300)]
    data = join(*records)
    assert list(split(data)) == records
    assert list(split(data[:-1])) == [*records[:2], (7, b"\0" * 299)]


def test_a_pass_that_takes_too_long_is_found() -> None:
    """What raises nothing, and keeps the processor busy for longer than it may, is a failure."""

    def busy(data: bytes) -> None:
        end = time.process_time() + 0.02 * (len(data) > 8)
        while time.process_time() < end:
            pass

    outcome = fuzz(lambda _: None, [b"short"], seconds=60, seed=1, one_pass=busy)
    assert isinstance(outcome.error, Slow)
    assert outcome.slowest >= 0.02
