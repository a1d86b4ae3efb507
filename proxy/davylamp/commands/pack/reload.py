"""``davylamp pack reload``: have the gateway read its own signatures again."""

from pathlib import Path

import click

from davylamp.commands.pack._site import put_in_force, site_of, site_options
from davylamp.updates.install import changing
from davylamp.updates.loading import load_source
from davylamp.wording import counted


@click.command("reload")
@site_options
def command(*, config_file: Path | None, directory: Path | None) -> None:
    """Have a running gateway read the pack in force and the signatures of this site again.

    As SIGHUP does, with an answer: what is wrong with them, or that they are in force.
    Exit status: 0 in force, 2 refused; the gateway goes on with what it had.
    """
    site = site_of(config_file, directory)
    with changing(site.store):
        selection = site.store.state().in_force
        pack = load_source(site.store.source(selection)).pack
        shown = put_in_force(site, selection, "reload")
    click.echo(f"{pack.name} {pack.version}, {counted(len(pack.signatures), 'signature')}: {shown}")
