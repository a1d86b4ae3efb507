"""Reads the pages: their fenced blocks, the marks above these, and the commands in them.

A block that shows commands has a mark right above it, an HTML comment that readers do not see:

    <!-- run -->                     a test runs it as written, in an empty directory
    <!-- run: site -->               the same, on a host of the given kind (stages.py)
    <!-- tested: tests/a/test_b.py -->   that test runs it, or what it stands for
    <!-- tested: docs/lab.md -->     that page has it too, and there it is run
    <!-- not run: REASON -->         nobody does, and why

``(`words`)`` after the verb restricts a mark to the commands that begin with the words; the first
mark that fits a command counts. ``<!-- page tested: tests/... -->`` anywhere says that the test
reads this page and runs all that is on it.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(chain(ROOT.glob("*.md"), (ROOT / "docs").rglob("*.md")))
SHELL = {"sh", "console"}
SHOWN = {"python", "redis", *SHELL}  # what a reader may type, and so must be marked
DATA = {"yaml", "json", "text"}
_FENCE = re.compile(
    r"(?P<above>(?:^<!--.*-->\n)*)^```(?P<language>\w*)\n(?P<body>(?:.*\n)*?)```$", re.MULTILINE
)
_MARK = re.compile(
    r"<!-- (?P<verb>run|tested|not run)(?: \(`(?P<only>[^`]+)`\))?(?:: (?P<detail>.+?))? -->"
)
_PAGE_MARK = re.compile(r"^<!-- (page tested): (.+?) -->$", re.MULTILINE)
_SPAN = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True, slots=True)
class Mark:
    """What becomes of commands: the verb, and a stage, a test's path or a reason."""

    verb: str
    detail: str = ""
    only: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """One command as a shell would be given it, and the output that the page shows below it."""

    text: str
    output: str = ""

    def words(self) -> list[str]:
        """Return its words, operators such as ``|`` and ``&&`` by themselves; no comments."""
        lexer = shlex.shlex(self.text, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        return list(lexer)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    body: str
    marks: tuple[Mark, ...]

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def commands(self) -> list[Command]:
        """Return what it has a reader type, one by one."""
        if self.language not in SHELL:
            return [Command(self.body)]
        return list(_commands(self.body, prompted=self.language == "console"))

    def mark(self, command: Command) -> Mark | None:
        """Return the mark that counts for one of its commands."""
        fitting = (mark for mark in self.marks if command.text.startswith(mark.only))
        return next(fitting, None)


def blocks(page: Path) -> list[Block]:
    """Return a page's fenced blocks, each with its marks or the page's."""
    text = page.read_text(encoding="utf-8")
    whole = [Mark(verb, detail) for verb, detail in _PAGE_MARK.findall(text)]
    return [
        Block(
            page,
            text.count("\n", 0, found.start("language")) + 1,
            found["language"],
            found["body"],
            (*_marks(found["above"]), *whole),
        )
        for found in _FENCE.finditer(text)
    ]


def all_blocks(*languages: str) -> list[Block]:
    """Return the blocks of all pages that are in one of the languages."""
    return [block for page in PAGES for block in blocks(page) if block.language in languages]


def spans(page: Path) -> list[str]:
    """Return what a page's text has between backticks, outside of its blocks."""
    return _SPAN.findall(prose(page))


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def _marks(above: str) -> Iterator[Mark]:
    for line in above.splitlines():
        if found := _MARK.fullmatch(line):
            yield Mark(found["verb"], found["detail"] or "", found["only"] or "")
        elif "page " not in line:
            yield Mark("no verb of ours", line)


def _commands(body: str, *, prompted: bool) -> Iterator[Command]:
    lines = body.splitlines()
    while lines:
        line = lines.pop(0)
        text = line[2:] if prompted else line
        while lines and not _whole(text):
            text += "\n" + lines.pop(0)
        output: list[str] = []
        while prompted and lines and not lines[0].startswith(("$ ", "# ")):
            output.append(lines.pop(0))
        if text.strip() and not text.startswith("#"):
            yield Command(text, "\n".join(output))


def _whole(text: str) -> bool:
    if text.endswith("\\"):
        return False
    try:
        shlex.split(text, comments=True)
    except ValueError:  # a quotation goes on in the next line
        return False
    return True
