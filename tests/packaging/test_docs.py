"""What the documentation points to is there (tests/docs has its commands)."""

import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(chain(ROOT.glob("*.md"), (ROOT / "docs").rglob("*.md")))
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")


def relative(path: Path) -> str:
    """Return a page's name for the test's."""
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page is to a file that exists."""
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_architecture_names_every_module() -> None:
    """The path table of docs/architecture.md has each module of the package, and no other."""
    package = ROOT / "proxy" / "davylamp"
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.split("## Where everything is")[1].split("| path | what |")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    named = {
        name.strip("/").removesuffix(".py")
        for row in rows
        for name in re.findall(r"`([^`]+)`", row)
    }
    there = {path.name for path in package.iterdir() if (path / "__init__.py").exists()}
    there |= {path.stem for path in package.glob("*.py")} - {"__init__"}
    assert named == there


def test_lock_is_in_step() -> None:
    """The lock holds davylamp at the version that pyproject.toml has."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    [locked] = [package for package in lock["package"] if package["name"] == "davylamp"]
    assert locked["version"] == version
