"""``davylamp pack enable``: switch one signature on; updates leave it so."""

from pathlib import Path

import click

from davylamp.commands.pack._site import site_options, switch_signature


@click.command("enable")
@click.argument("identity")
@site_options
def command(*, identity: str, config_file: Path | None, directory: Path | None) -> None:
    """Switch signature IDENTITY on, here and in whatever pack comes later.

    One of the sandbox alerts then, and never blocks.

    Exit status: 0 done, 2 not.
    """
    switch_signature(config_file, directory, identity, on=True)
