"""Checks words that begin with ``davylamp`` against the command line's own parser."""

import re
from collections.abc import Iterator

import click

from davylamp.cli import main

_END = re.compile(r"[|&;()<>]+")
_BETWEEN = re.compile(r"[\[\]…]|\.\.\.$")  # usage notation: [--json], a `…` for what is left out


def calls(words: list[str]) -> Iterator[list[str]]:
    """Return the arguments of every call of davylamp among a shell's words."""
    if words[:1] in (["kubectl"], ["helm"]):  # to these it is the name of a thing
        return
    for index, word in enumerate(words):
        if word == "davylamp" and words[index + 1 :]:
            end = (at for at, each in enumerate(words) if at > index and _END.fullmatch(each))
            yield words[index + 1 : next(end, len(words))]


def fault(arguments: list[str]) -> str:
    """Say what davylamp would not understand; empty where it takes subcommand and options."""
    words = [word for each in arguments if (word := _BETWEEN.sub("", each))]
    command: click.Command = main
    context = click.Context(main, info_name="davylamp")
    while isinstance(command, click.Group):
        if not words or words[0].isupper():  # a page may speak of `davylamp pack` as a whole
            return ""
        if words[0].startswith("-"):
            break
        found = command.get_command(context, words[0])
        if found is None:
            return f"{context.command_path} has no command {words[0]!r}"
        context = click.Context(found, parent=context, info_name=words.pop(0))
        command = found
    try:
        command.make_parser(context).parse_args(words)
    except click.UsageError as error:
        return f"{context.command_path}: {error.format_message()}"
    return ""


def every_option(command: click.Command = main) -> set[str]:
    """Return the options of all commands."""
    own = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
    if not isinstance(command, click.Group):
        return own | {"--help", "-h"}
    context = click.Context(command)
    subs = (command.get_command(context, name) for name in command.list_commands(context))
    return own.union(*(every_option(sub) for sub in subs if sub is not None))
