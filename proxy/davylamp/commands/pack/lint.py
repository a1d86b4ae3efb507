"""``davylamp pack lint``: what is wrong with a pack though it compiles."""

import sys
import time
from pathlib import Path

import click
import msgspec

from davylamp.proving.lint import remarks
from davylamp.signatures.disk import load_directory, load_vectors, vectors_of
from davylamp.wording import counted

_EPILOG = """\b
Exit status: 0 nothing to say; 1 something, a line each; 2 the pack cannot be used, and standard
error says where and why.
"""


@click.command("lint", epilog=_EPILOG)
@click.argument("path", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="The remarks as a JSON list on stdout.")
def command(*, path: Path, as_json: bool) -> None:
    """Say of the pack in PATH what a reviewer would ask about.

    References, techniques and kinds that are missing, lists nobody asks for, entries that have
    expired, signatures that make each other slow.
    """
    pack, folder = load_directory(path), vectors_of(path)
    proved = {identity for identity, _ in load_vectors(folder)} if folder.is_dir() else set()
    said = list(remarks(pack, proved, time.time()))
    if as_json:
        listed = [{"place": str(path / str(one.place)), "says": one.says} for one in said]
        sys.stdout.buffer.write(msgspec.json.encode(listed) + b"\n")
    else:
        for one in said:
            click.echo(f"{path / str(one.place)}: {one.says}")
        signatures = counted(len(pack.signatures), "signature")
        remarked = f"{counted(len(said), 'remark')} on {signatures}"
        click.echo(remarked if said else f"SUCCESS: {signatures}")
    sys.exit(1 if said else 0)
