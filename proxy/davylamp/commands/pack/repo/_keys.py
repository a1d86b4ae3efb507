"""What the repository's subcommands share: keys and passphrases, and what is still missing."""

import datetime as dt
from collections.abc import Callable, Sequence
from pathlib import Path

import click
from securesystemslib.signer import CryptoSigner

from davylamp.errors import ConfigError
from davylamp.updates.keys import read_key
from davylamp.updates.repository import PackRepository, Waiting

ALL_SIGNED = "all signed; davylamp pack repo publish shows it to gateways"
FOLDER = click.argument("folder", type=click.Path(path_type=Path, file_okay=False))


def key_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command ``--key`` and ``--passphrase-file``."""
    function = passphrase_option(function)
    return click.option(
        "--key",
        "keys",
        type=click.Path(path_type=Path, dir_okay=False),
        multiple=True,
        help="A private key file to sign with (repeatable).",
    )(function)


passphrase_option = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file whose first line is the keys' passphrase.",
)


def passphrase_of(file: Path | None) -> bytes:
    """Return the first line of a file, nothing without one; raise ConfigError if it is empty."""
    if file is None:
        return b""
    try:
        found = file.read_bytes().partition(b"\n")[0].strip()
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    if not found:
        raise ConfigError(f"{file}: its first line is empty; write the passphrase there")
    return found


def signers_of(keys: Sequence[Path], passphrase_file: Path | None) -> list[CryptoSigner]:
    """Return what signs with these key files."""
    passphrase = passphrase_of(passphrase_file)
    return [read_key(key, passphrase) for key in keys]


def repository(folder: Path) -> PackRepository:
    """Return the repository in a folder, at this time."""
    return PackRepository(folder, dt.datetime.now(dt.UTC))


def say_waiting(folder: Path, waiting: Sequence[Waiting]) -> None:
    """Say which drafts are not signed enough, and what to do."""
    for one in waiting:
        click.echo(
            f"{one.role} {one.version} has {one.signed} of {one.needed} signatures: "
            f"davylamp pack repo sign {folder} --key FILE"
        )
