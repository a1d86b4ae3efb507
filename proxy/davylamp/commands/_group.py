"""A group of subcommands whose help says what each is for, whole."""

from typing import override

import click

_LONGEST = 200


class Group(click.Group):
    """Click's own cuts each line to the terminal's width, most often amid the sentence."""

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the subcommands with the first sentence of each, over as many lines as it takes."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [
            (name, command.get_short_help_str(_LONGEST))
            for name, command in found
            if command is not None and not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
