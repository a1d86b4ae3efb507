"""``davylamp addons``: where the mitmproxy addons are."""

import json
from pathlib import Path

import click

from davylamp.commands._group import Group
from davylamp.errors import ConfigError
from davylamp.paths import ADDONS

ENTRY = "davylamp_addon.py"
_EPILOG = """\b
Example:
  mitmdump -s "$(davylamp addons path)/davylamp_addon.py" --set davylamp_mode=observe
"""


@click.group("addons", cls=Group, epilog=_EPILOG)
def command() -> None:
    """Use the inspection inside mitmproxy."""


@command.command("path")
def path() -> None:
    """Print the folder that the addons are in."""
    click.echo(_folder())


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
def listing(*, as_json: bool) -> None:
    """List the scripts that mitmproxy can load, by their paths."""
    scripts = [str(_folder() / ENTRY)]
    if as_json:
        click.echo(json.dumps({"scripts": scripts}))
    else:
        for script in scripts:
            click.echo(script)


def _folder() -> Path:
    if not (ADDONS / ENTRY).is_file():
        raise ConfigError(f"no addons at {ADDONS}: install davylamp anew")
    return ADDONS
