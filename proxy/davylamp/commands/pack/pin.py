"""``davylamp pack pin``: keep what is in force, whatever updates there are."""

from pathlib import Path

import click
import msgspec

from davylamp.commands.pack._site import site_of, site_options
from davylamp.updates.install import changing


@click.command("pin")
@click.option("--off", is_flag=True, help="Let updates in again.")
@site_options
def command(*, off: bool, config_file: Path | None, directory: Path | None) -> None:
    """Keep the pack in force until `pin --off`; updates are refused and say so.

    Exit status: 0 done, 2 the folder cannot be written.
    """
    site = site_of(config_file, directory)
    with changing(site.store):
        state = site.store.change(lambda state: msgspec.structs.replace(state, pinned=not off))
    name = state.in_force.pack or "the shipped pack"
    click.echo(f"{name} is {'no longer pinned' if off else 'pinned'}")
