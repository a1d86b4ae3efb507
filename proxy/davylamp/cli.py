"""The command line: one subcommand a file in ``commands``, gathered here."""

import importlib
import pkgutil

import click

from davylamp import __version__, commands
from davylamp.commands._group import Group
from davylamp.errors import DavylampError

EXAMPLES = """\b
Examples:
  davylamp demo                          see a miner stopped and named, in a private lab
  davylamp doctor                        what this host can do, and what to install
  davylamp replay trace.pcap --json      the same inspection over a capture
  davylamp lab up                        a lab to put your own workload behind the gateway
  davylamp lineage show CONTAINER        who is, or was, behind an address or container
  davylamp incidents list --open         what was found, and who did it
  davylamp blocks list                   what all gateways refuse together
  davylamp actions list                  what was done about it, and what can be undone
"""


class Main(Group):
    """A group that imports a subcommand when it is asked for, and prints our own errors.

    An error of ours is one line on standard error and exit status 2.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of the files in ``commands``, but those that several share."""
        names = (module.name for module in pkgutil.iter_modules(commands.__path__))
        return sorted(name for name in names if not name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the file of that name and return its command, None where there is no such file."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(f"davylamp.commands.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the subcommand."""
        try:
            return super().invoke(ctx)
        except DavylampError as error:
            click.echo(f"davylamp: {error}", err=True)
            ctx.exit(2)


@click.group(cls=Main, epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="davylamp")
def main() -> None:
    """See mining in a training subnet's egress, stop it, and name who ran it."""
