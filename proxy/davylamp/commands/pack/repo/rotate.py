"""``davylamp pack repo rotate``: other keys for a role."""

from pathlib import Path

import click

from davylamp.commands.pack.repo._keys import (
    ALL_SIGNED,
    FOLDER,
    key_options,
    passphrase_of,
    repository,
    say_waiting,
    signers_of,
)
from davylamp.errors import ConfigError
from davylamp.updates.keys import make_key
from davylamp.updates.repository import OFFLINE, ONLINE


@click.command("rotate")
@FOLDER
@click.argument("role", type=click.Choice([*OFFLINE, *ONLINE]))
@click.option(
    "--new-key",
    "new_keys",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    help="A new key file to make for the role (repeatable).",
)
@click.option("--revoke", multiple=True, help="The id of a key to take from it, or its beginning.")
@click.option("--threshold", type=click.IntRange(1, 20), help="How many of its keys must sign.")
@key_options
def rotate(  # noqa: PLR0913 - one parameter an option
    *,
    folder: Path,
    role: str,
    new_keys: tuple[Path, ...],
    revoke: tuple[str, ...],
    threshold: int | None,
    keys: tuple[Path, ...],
    passphrase_file: Path | None,
) -> None:
    """Draft a root in which ROLE has other keys, and sign it with the root keys given.

    Gateways follow by themselves after the next publish, if enough of the old root keys sign it and
    of the new ones too. Exit status: 0 done, 2 not, 3 it waits for signatures.
    """
    if not new_keys and not revoke and threshold is None:
        raise ConfigError("nothing to change: give --new-key, --revoke or --threshold")
    repo = repository(folder)
    passphrase = passphrase_of(passphrase_file) if role in OFFLINE else b""
    signers = signers_of(keys, passphrase_file)
    revoked = [repo.key_of(role, one) for one in revoke]
    repo.check_rotation(role, len(new_keys), revoked, threshold)
    made = [make_key(file, passphrase) for file in new_keys]
    repo.rotate(role, [one.public_key for one in made], revoked, threshold)
    waiting = repo.sign([*signers, *made])
    for line in repo.told():
        click.echo(line)
    say_waiting(folder, waiting)
    if not waiting:
        click.echo(ALL_SIGNED)
    raise SystemExit(3 if waiting else 0)
