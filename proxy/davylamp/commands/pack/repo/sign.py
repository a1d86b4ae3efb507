"""``davylamp pack repo sign``: add a person's signature to what waits for it."""

from pathlib import Path

import click

from davylamp.commands.pack.repo._keys import (
    ALL_SIGNED,
    FOLDER,
    key_options,
    repository,
    say_waiting,
    signers_of,
)


@click.command("sign")
@FOLDER
@key_options
def sign(*, folder: Path, keys: tuple[Path, ...], passphrase_file: Path | None) -> None:
    """Sign the drafts in FOLDER with the keys given; without one, only say what they change.

    Copy FOLDER to where the key is, sign, and copy its drafts back. Gateways see nothing of it
    before `publish`. Exit status: 0 all is signed, 2 a key or the folder cannot be used, 3
    signatures are still missing.
    """
    repo = repository(folder)
    signers = signers_of(keys, passphrase_file)
    repo.check_signers(dict(zip(map(str, keys), signers, strict=True)))
    drafted = list(repo.told())
    for line in drafted or ["nothing waits for signatures"]:
        click.echo(line)
    waiting = repo.sign(signers)
    say_waiting(folder, waiting)
    if drafted and not waiting:
        click.echo(ALL_SIGNED)
    raise SystemExit(3 if waiting else 0)
