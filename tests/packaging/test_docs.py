"""What the documentation says can be done, can."""

import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest
from click import Context, Group

from davylamp.cli import main
from davylamp.config import parse_config

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(chain(ROOT.glob("*.md"), (ROOT / "docs").rglob("*.md")))
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
COMMAND = re.compile(r"^(?:\$ )?davylamp ([a-z-]+)(?: ([a-z][a-z-]*))?", re.MULTILINE)
TARGET = re.compile(r"^(?:\$ )?make ([a-z][a-z-]*)", re.MULTILINE)


def relative(path: Path) -> str:
    """Return a page's name for the test's."""
    return str(path.relative_to(ROOT))


def code_of(page: Path) -> str:
    """Return what a page shows to be typed: its shell blocks and its code spans, one a line."""
    text = page.read_text(encoding="utf-8")
    blocks = [body for language, body in FENCE.findall(text) if language in {"sh", "console"}]
    return "\n".join((*blocks, *SPAN.findall(FENCE.sub("", text))))


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page is to a file that exists."""
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_commands_exist(page: Path) -> None:
    """Every davylamp command and make target that a page shows exists."""
    text = code_of(page)
    context = Context(main)
    for name, sub in COMMAND.findall(text):
        command = main.get_command(context, name)
        assert command is not None, f"davylamp {name}"
        if sub and isinstance(command, Group):
            assert command.get_command(context, sub) is not None, f"davylamp {name} {sub}"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in TARGET.findall(text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"


def test_readme_configuration_is_accepted() -> None:
    """The configuration that the README shows is one that the gateway takes."""
    blocks = FENCE.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    [example] = [body for language, body in blocks if language == "yaml"]
    config = parse_config(example)
    assert config.sandboxes.interfaces == ("br-train",)
    assert config.mode == "observe"


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
