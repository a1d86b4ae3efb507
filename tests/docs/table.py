"""Writes the table of docs/commands.md: ``python -m tests.docs.table``, at the root."""

from tests.docs.blocks import PAGES, ROOT, SHOWN, blocks

PAGE = ROOT / "docs" / "commands.md"
_HEAD = "| page | command | why |\n|---|---|---|\n"


def table() -> str:
    """Return a row for every command that no test runs."""
    rows = []
    for page in PAGES:
        for block in blocks(page):
            commands = block.commands() if block.language in SHOWN else []
            for command in commands:
                mark = block.mark(command)
                if mark is not None and mark.verb == "not run":
                    words = " ".join(command.text.split("  #")[0].split("\n")[0].split())
                    shown = words.replace("|", "\\|")
                    rows.append(f"| {page.relative_to(ROOT)} | `{shown}` | {mark.detail} |\n")
    return _HEAD + "".join(rows)


def with_table(text: str) -> str:
    """Return the page with the table as it is to be."""
    return text.partition(_HEAD)[0] + table()


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
