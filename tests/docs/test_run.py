"""The commands that pages have marked ``run`` are run, as they are written."""

from itertools import groupby
from pathlib import Path

import pytest
from tests.docs.blocks import PAGES, ROOT, Command, blocks
from tests.docs.conftest import Stage

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

# What Python examples leave to their reader.
_PYTHON = "run_the_tool = lambda: None\n"


def to_run(page: Path) -> list[tuple[str, Command]]:
    """Return the page's commands to be run, in order, each with the stage that it is run on."""
    found = []
    for block in blocks(page):
        for command in block.commands():
            mark = block.mark(command)
            if mark is None or mark.verb != "run":
                continue
            if block.language == "python":
                command = Command(f"python - <<'END'\n{_PYTHON}{command.text}END")  # noqa: PLW2901
            found.append((mark.detail, command))
    return found


@pytest.mark.parametrize(
    "page", [page for page in PAGES if to_run(page)], ids=lambda page: str(page.relative_to(ROOT))
)
def test_commands_do_what_the_page_says(page: Path, stage: Stage, desk: Path) -> None:
    """Each ends with the status that the page says, else 0, and prints what the page shows."""
    for kind, some in groupby(to_run(page), key=lambda pair: pair[0]):
        assert stage(kind, desk).type([command for _, command in some]) == []
