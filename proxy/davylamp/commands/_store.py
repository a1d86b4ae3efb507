"""What the subcommands that ask the store share: whose store it is."""

import functools
import os
from collections.abc import Callable
from pathlib import Path

import click

from davylamp.attribution.place import default_place, place_under
from davylamp.commands.config import read_layers


def store_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command ``--url`` and ``--config``; it gets the URL, None where neither is given."""

    @click.option("--url", metavar="URL", help="The store's URL, as docs/lineage.md has its forms.")
    @click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="The gateway's configuration file, for the store that it says.",
    )
    @functools.wraps(function)
    def asked(
        *arguments: object, url: str | None, config_file: Path | None, **others: object
    ) -> None:
        if url is None and config_file is not None:
            url = _url_of(config_file)
        function(*arguments, url=url, **others)

    return asked


def _url_of(config_file: Path) -> str:
    """Return the URL of the store that a gateway with this configuration uses."""
    config = read_layers(config_file, ()).config
    if config.lineage.redis:
        return config.lineage.redis
    if config.state_dir:
        return place_under(Path(config.state_dir).absolute()).url
    return default_place(os.environ).url
