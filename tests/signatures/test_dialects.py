"""docs/dialects.md and the core pack name the same dialects."""

from pathlib import Path

from davylamp.signatures.model import Category, Maturity
from davylamp.signatures.pack import Pack

DOCUMENT = Path(__file__).parents[2] / "docs" / "dialects.md"


def rows() -> dict[str, str]:
    """Return the table's rows by dialect."""
    found = {}
    for line in DOCUMENT.read_text().splitlines():
        if line.startswith("| `"):
            found[line.split("`")[1]] = line
    return found


def test_every_dialect_has_a_row(core: Pack) -> None:
    """A dialect of miners or of peers without a row, or a row without a dialect, fails."""
    spoken = {Category.MINING, Category.SOLO, Category.P2P}
    known = {one.dialect for one in core.signatures.values() if one.category in spoken}
    assert set(rows()) == known


def test_a_coin_of_a_row_is_a_coin_of_its_dialect(core: Pack) -> None:
    """Where every sure signature of a dialect names the same coin, the row names it."""
    for dialect, row in rows().items():
        coins = {
            one.coins
            for one in core.signatures.values()
            if one.dialect == dialect and one.maturity is not Maturity.SANDBOX
        }
        if len(coins) == 1 and (named := coins.pop()):
            assert f"| {', '.join(named)} |" in row, dialect
