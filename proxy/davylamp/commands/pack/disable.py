"""``davylamp pack disable``: switch one signature off; updates leave it so."""

from pathlib import Path

import click

from davylamp.commands.pack._site import site_options, switch_signature


@click.command("disable")
@click.argument("identity")
@site_options
def command(*, identity: str, config_file: Path | None, directory: Path | None) -> None:
    """Switch signature IDENTITY off, here and in whatever pack comes later.

    It still compiles and is proved, and matches nothing.

    Exit status: 0 done, 2 not.
    """
    switch_signature(config_file, directory, identity, on=False)
