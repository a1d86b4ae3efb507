"""Every command of a page is run by a test, or the page says why not."""

import re
from itertools import takewhile
from pathlib import Path

import pytest
from tests.docs.blocks import (
    DATA,
    PAGES,
    ROOT,
    SHELL,
    SHOWN,
    Block,
    Command,
    Mark,
    blocks,
    prose,
    spans,
)
from tests.docs.options import calls, every_option, fault
from tests.docs.table import PAGE, with_table

HOW = (
    "put one of these right above the block (tests/docs/blocks.py says more):\n"
    "    <!-- run: STAGE -->  <!-- tested: tests/... -->  <!-- not run: REASON -->"
)
STAGES = {"", "host", "site"}
# Options of other programs that the pages speak of.
FOREIGN = {
    "--cap-add",
    "--ip",
    "--iptables-masquerade-bit",
    "--kill-whom",
    "--network",
    "--profile",
}
_PROGRAM = re.compile(
    r"^ *(?:[$#] )?(?:davylamp|make|docker|docker-compose|python|kubectl|time) [a-z-]"
)
_WORD = re.compile(r"[a-z][a-z_-]+")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def key_words(block: Block, command: Command) -> list[str]:
    """Return what a test that runs a command has in it somewhere: subcommands, or methods."""
    if block.language == "python":
        imported = re.findall(r"^from davylamp\S* import (\w+)", command.text, re.MULTILINE)
        return [*imported, *re.findall(r"(?<!time)\.(\w+)\(", command.text)]
    if block.language == "redis":
        return []
    first, *others = command.words()
    if first == "python":
        return [Path(others[0]).stem]
    words = list(takewhile(_WORD.fullmatch, others))
    return words[:2] if first in {"davylamp", "make"} else [Path(first).name, *words[:1]]


def runs(page: Path) -> list[list[str]]:
    """Return the key words of the commands of a page that are run."""
    return [
        key_words(block, command)
        for block in blocks(page)
        for command in block.commands()
        if (mark := block.mark(command)) is not None and mark.verb == "run"
    ]


def why_wrong(block: Block, command: Command, mark: Mark | None) -> str:
    """Say what is wrong with what a page says of a command's test; empty if nothing is."""
    match mark:
        case Mark("run", detail):
            return "" if detail in STAGES else f"{detail!r} is none of {STAGES}"
        case Mark("not run", detail):
            return "" if len(detail.split()) > 2 else "why is it not run?"
        case Mark("tested", detail):
            return why_not_tested(ROOT / detail, key_words(block, command))
        case Mark("page tested", detail):
            return why_not_tested(ROOT / detail, [re.escape(block.page.name)])
        case None:
            return f"nothing says how this is tested: {HOW}"
        case _:
            return f"this is no mark: {mark.detail}; {HOW}"


def why_not_tested(test: Path, words: list[str]) -> str:
    """Say why a file cannot be the test of a command with these words; empty if it can."""
    if not test.is_file():
        return f"there is no {test}"
    if test.suffix == ".md":
        return "" if words in runs(test) else f"{test.name} runs no such command"
    text = test.read_text(encoding="utf-8")
    missing = [word for word in words if not re.search(rf"\b{word}\b", text)]
    return f"{test.name} has nothing of {missing}" if missing else ""


@each_page
def test_every_command_is_accounted_for(page: Path) -> None:
    """Each has a mark that holds; a mark that fits no command is left over from another time."""
    for block in blocks(page):
        assert block.language in SHOWN | DATA, f"{block}: a block is one of {SHOWN | DATA}"
        if block.language not in SHOWN:
            continue
        used = set()
        for command in block.commands():
            mark = block.mark(command)
            wrong = why_wrong(block, command, mark)
            assert not wrong, f"{block}: {command.text}\n{wrong}"
            used.add(mark)
        assert used >= {mark for mark in block.marks if mark.verb != "page tested"}, (
            f"{block}: a mark fits nothing"
        )


@each_page
def test_no_command_hides(page: Path) -> None:
    """Commands stand in shell blocks: neither indented nor among data."""
    data = [block.body for block in blocks(page) if block.language in DATA]
    indented = [line for line in prose(page).splitlines() if line.startswith("    ")]
    lines = [*indented, *(line for body in data for line in body.splitlines())]
    assert [line for line in lines if _PROGRAM.match(line)] == [], "use ```sh or ```console"


@each_page
def test_davylamp_takes_the_words(page: Path) -> None:
    """Every subcommand and option that a page names exists, in blocks and between backticks."""
    shown = [each for block in blocks(page) for each in block.commands() if block.language in SHELL]
    named = [Command(span) for span in spans(page) if span.startswith("davylamp ")]
    faults = [fault(call) for command in (*shown, *named) for call in calls(command.words())]
    assert [each for each in faults if each] == []
    lone = {re.split(r"[ =]", span)[0] for span in spans(page) if span.startswith("--")}
    assert lone - every_option() - FOREIGN == set()


@each_page
def test_make_has_the_target(page: Path) -> None:
    """Every target that a page has made exists."""
    shown = [each.text for block in blocks(page) for each in block.commands()]
    made = re.findall(r"\bmake ([a-z][a-z-]*)", "\n".join((*shown, *spans(page))))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert [each for each in made if not re.search(rf"^{each}:", makefile, re.MULTILINE)] == []


def test_what_is_not_run_is_listed() -> None:
    """docs/commands.md has the rows that the marks make."""
    text = PAGE.read_text(encoding="utf-8")
    assert with_table(text) == text, "run python -m tests.docs.table"
