"""``davylamp pack repo sign``: add a person's signature to what waits for it."""

from pathlib import Path

import click

from davylamp.commands.pack.repo._keys import (
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
    """Sign the drafts in FOLDER with the keys given; what has enough signatures is no draft more.

    Copy FOLDER to where the key is, sign, and copy it back. Gateways see it after the next publish.
    Exit status: 0 signed, 2 a key cannot be used, 3 signatures are still missing.
    """
    waiting = repository(folder).sign(signers_of(keys, passphrase_file))
    say_waiting(folder, waiting)
    if not waiting:
        click.echo("all signed; davylamp pack repo publish shows it to gateways")
    raise SystemExit(3 if waiting else 0)
