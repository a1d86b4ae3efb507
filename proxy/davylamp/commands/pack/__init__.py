"""``davylamp pack``: write, prove and look into signature packs; a subcommand a file.

Each file of this folder defines one click command named ``command``; the file's name is the
subcommand's, so a new one needs no list here. What a subcommand does is in the rooms below.
"""

import importlib
import pkgutil

import click

from davylamp.commands._group import Group

_EPILOG = """\b
Examples:
  davylamp pack new toy-hello --pack my-pack    a signature and its vectors, ready to be changed
  davylamp pack test my-pack                    run every vector with the production engine
  davylamp pack explain stratum-v1-submit       what a signature says, and where it can match
"""


class Folder(Group):
    """A group that imports a subcommand's file when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of the files beside this one, but those that several share."""
        names = (module.name for module in pkgutil.iter_modules(__path__))
        return sorted(name for name in names if not name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the file of that name and return its command, None where there is no such file."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(f"{__name__}.{cmd_name}").command
        return command


@click.group("pack", cls=Folder, epilog=_EPILOG)
def command() -> None:
    """Write, prove and look into signature packs."""
