"""``davylamp pack repo``: a repository of one's own, with keys that are kept apart from it."""

import click

from davylamp.commands._group import Group
from davylamp.commands.pack.repo.init import init
from davylamp.commands.pack.repo.publish import publish
from davylamp.commands.pack.repo.rotate import rotate
from davylamp.commands.pack.repo.sign import sign


@click.group("repo", cls=Group)
def command() -> None:
    """Make, sign and publish a repository that gateways update from (docs/updates.md)."""


for one in (init, sign, publish, rotate):
    command.add_command(one)
