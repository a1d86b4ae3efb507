"""The tutorial does what it says: its blocks are run in order, and print what the page shows."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from davylamp.lab.lab import take_down
from davylamp.lab.state import directories

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"
BLOCK = re.compile(
    r"^```sh\n(?P<typed>.*?)^```\n(?:```text\n(?P<printed>.*?)^```$)?", re.MULTILINE | re.DOTALL
)
LEFT_OUT = "…"
LOOKS = "davylamp incidents show"
"""Only looks at what arrives a moment after its cause: asked again, as a reader would."""
PATIENCE = 30.0  # seconds

VARIES = tuple(
    (re.compile(pattern), word)
    for pattern, word in (
        (r"[─━]+", "─"),
        (r" +", " "),
        (r"\binc-[0-9a-f]{12}\b", "inc-ID"),
        (r"\b\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d\.\d+Z)?", "TIME"),
        (r"\b20\d\d\.\d+\.\d+\b", "VERSION"),
        (r"\bsite-\d{10}\b", "site-NUMBER"),
        (r"\b[\d,]+ bytes\b", "N bytes"),
        (r"\b\d{3,} signatures\b", "N signatures"),  # of the core pack, which grows
        (r"\b\d+\.\d us a flow, \d+\.\d with", "N us a flow, N with"),
        (r"\(\d+\.\d\d times\)", "(N times)"),
        (r"/\S+/labs/", "/labs/"),
    )
)


@dataclass(frozen=True, slots=True)
class Step:
    """A block that is typed, what the page says it prints, and its line on the page."""

    line: int
    typed: str
    printed: str


def steps_of(page: str) -> Iterator[Step]:
    """Yield the page's shell blocks in order."""
    for found in BLOCK.finditer(page):
        line = page.count("\n", 0, found.start()) + 2
        yield Step(line, found["typed"], found["printed"] or "")


def plain(text: str) -> str:
    """Return text without what differs from run to run."""
    for pattern, word in VARIES:
        text = pattern.sub(word, text)
    return "".join(f"{line.strip()}\n" for line in text.splitlines())


def agree(shown: str, got: str) -> bool:
    """Tell whether a run printed what the page shows; ``…`` stands for anything."""
    pattern = "".join(
        r"(?:.*\n)*?"
        if line.strip() == LEFT_OUT
        else ".*".join(map(re.escape, line.rstrip("\n").split(LEFT_OUT))) + "\n"
        for line in plain(shown).splitlines()
    )
    return re.fullmatch(pattern, plain(got)) is not None


def run(step: Step, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Type a block into a shell in the folder."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", step.typed],
        cwd=folder,
        env=os.environ | {"PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def no_lab_left(can_lab: None) -> Iterator[None]:
    """Take the page's lab down, also where the page was not read to its end."""
    yield
    for directory in directories():
        if directory.name == "lab":
            take_down(directory)


@pytest.mark.timeout(600)
def test_the_page_is_true(no_lab_left: None, tmp_path: Path) -> None:
    """From an empty folder, every block of the page succeeds and prints what stands under it."""
    steps = list(steps_of(PAGE.read_text("utf-8")))
    assert len(steps) > 10
    for step in steps:
        deadline = time.monotonic() + PATIENCE
        done = run(step, tmp_path)
        while (
            step.typed.startswith(LOOKS)
            and not agree(step.printed, done.stdout)
            and time.monotonic() < deadline
        ):
            time.sleep(0.5)
            done = run(step, tmp_path)
        where = f"{PAGE.name}:{step.line}: {step.typed}"
        assert done.returncode == 0, f"{where}{done.stdout}"
        assert agree(step.printed, done.stdout), f"{where}shown\n{step.printed}got\n{done.stdout}"


@pytest.mark.parametrize(
    ("shown", "got", "same"),
    [
        ("a 1\n…\nz\n", "a 1\nb\nc\nz\n", True),
        ("inc-0123456789ab … open\n", "inc-ba9876543210 HIGH open\n", True),
        ("answer: OK\n", "answer: no\n", False),
        ("answer: OK\n", "answer: OK\nanswer: OK\n", False),
        ("answer: OK\n", "", False),
        ("", "warning: something\n", False),
        ("1 signature\n", "2 signatures\n", False),
    ],
    ids=["lines-left-out", "varies", "another", "more", "silent", "noise", "count"],
)
def test_what_counts_as_the_same(shown: str, got: str, same: bool) -> None:
    """Times, ids and what is left out may differ; any other word, or line, may not."""
    assert agree(shown, got) is same
