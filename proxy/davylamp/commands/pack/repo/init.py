"""``davylamp pack repo init``: keys, and an empty repository signed by them."""

from pathlib import Path

import click

from davylamp.commands.pack.repo._keys import (
    FOLDER,
    passphrase_of,
    passphrase_option,
    repository,
)
from davylamp.errors import ConfigError
from davylamp.updates.folder import ROOT, TARGETS
from davylamp.updates.keys import make_key
from davylamp.updates.repository import ONLINE


@click.command("init")
@FOLDER
@click.option(
    "--keys",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="A new folder for the private keys; not the repository.",
)
@click.option("--root-keys", type=click.IntRange(1, 20), default=2, show_default=True)
@click.option("--root-threshold", type=click.IntRange(1, 20), default=2, show_default=True)
@click.option("--targets-keys", type=click.IntRange(1, 20), default=2, show_default=True)
@click.option("--targets-threshold", type=click.IntRange(1, 20), default=1, show_default=True)
@passphrase_option
def init(  # noqa: PLR0913 - one parameter an option
    *,
    folder: Path,
    keys: Path,
    root_keys: int,
    root_threshold: int,
    targets_keys: int,
    targets_threshold: int,
    passphrase_file: Path | None,
) -> None:
    """Make keys (files of mode 0600) and an empty repository in FOLDER.

    Take the keys of root and targets off this machine afterwards, each to another person. The
    online keys stay unencrypted, for they sign unattended. Exit status: 0 made, 2 not.
    """
    passphrase = passphrase_of(passphrase_file)
    if keys.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(f"{keys}: is in the repository, which is served; keep the keys elsewhere")
    repo = repository(folder)
    thresholds = {ROOT: root_threshold, TARGETS: targets_threshold}
    repo.check_new({ROOT: root_keys, TARGETS: targets_keys}, thresholds)
    made = {
        role: [
            make_key(keys / f"{role}-{number}.pem", passphrase) for number in range(1, count + 1)
        ]
        for role, count in ((ROOT, root_keys), (TARGETS, targets_keys))
    }
    made |= {role: [make_key(keys / f"{role}.pem")] for role in ONLINE}
    repo.create(made, thresholds)
    click.echo(f"repository: {folder}\nkeys: {keys}")
    click.echo(f"give gateways {folder}/metadata/1.root.json by a road you trust")
