"""``davylamp pack diff``: what changed between two versions of a pack."""

import sys
from pathlib import Path

import click
import msgspec

from davylamp.proving.difference import Change, differences
from davylamp.signatures.disk import load_directory

_MARKS = {Change.ADDED: "+", Change.REMOVED: "-", Change.CHANGED: "~", Change.REWORDED: "="}

_EPILOG = """\b
  +  added     -  removed     ~  its meaning changed     =  only its wording did

\b
Exit status: 0 every change of meaning has a higher rev; 1 one has not, and its line says so; 2 a
pack cannot be used.
"""


@click.command("diff", epilog=_EPILOG)
@click.argument("old", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("new", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="The differences as a JSON list on stdout.")
def command(*, old: Path, new: Path, as_json: bool) -> None:
    """Say how the pack in NEW differs from the one in OLD, signature by signature."""
    found = list(differences(load_directory(old), load_directory(new)))
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
    else:
        for one in found:
            fault = f"  ERROR: {one.fault}" if one.fault else ""
            click.echo(f"{_MARKS[one.change]} {one.name}  {one.says}{fault}")
        if not found:
            click.echo("no difference")
    sys.exit(1 if any(one.fault for one in found) else 0)
