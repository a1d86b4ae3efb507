"""What ``--help`` says, of every command."""

from collections.abc import Iterator

import click
import pytest

from davylamp.cli import main


def helps(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield each command's name and help, as a terminal of 80 columns shows it."""
    with click.Context(command, info_name=" ".join(path), terminal_width=80) as context:
        yield " ".join(path), command.get_help(context)
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None
                yield from helps(inner, (*path, name))


@pytest.mark.parametrize(("name", "said"), [*helps(main, ("davylamp",))])
def test_it_is_whole_and_plain(name: str, said: str) -> None:
    """No sentence is cut short, and no mark that is click's own is left in it."""
    assert said.startswith(f"Usage: {name} ")
    assert not [line for line in said.splitlines()[1:] if line.endswith("...")]
    assert "\\b" not in said
