"""What the subcommands that ask the store share: whose store it is."""

import functools
from collections.abc import Callable
from pathlib import Path

import click

from davylamp.commands.config import config_option, read_layers
from davylamp.wiring import lineage_url


def store_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command ``--url`` and ``--config``; it gets the URL, None where neither is given."""

    @click.option("--url", metavar="URL", help="The store's URL, as docs/lineage.md has its forms.")
    @config_option("the store that it says")
    @functools.wraps(function)
    def asked(
        *arguments: object, url: str | None, config_file: Path | None, **others: object
    ) -> None:
        if url is None and config_file is not None:
            url = lineage_url(read_layers(config_file, ()).config)
        function(*arguments, url=url, **others)

    return asked
