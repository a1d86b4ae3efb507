"""What the subcommands that ask a gateway's API share: where it is, and with what one asks it."""

import functools
import os
from collections.abc import Callable
from pathlib import Path

import click

from davylamp.api.client import client_of
from davylamp.attribution.place import default_place
from davylamp.tls import verifying

_FILE = click.Path(path_type=Path, dir_okay=False)


def api_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command ``--url`` and what vouches for either side; it gets the ``gateway``."""

    @click.option("--url", default="http://127.0.0.1:9465", show_default=True, help="The API.")
    @click.option(
        "--state",
        type=click.Path(path_type=Path, file_okay=False),
        help="The gateway's state directory, which has a token that may read.",
    )
    @click.option("--token-file", type=_FILE, help="Another token.")
    @click.option("--ca", default="", metavar="FILE", help="PEM file that vouches for it.")
    @click.option(
        "--certificate", default="", metavar="FILE", help="PEM file that vouches for you."
    )
    @click.option("--key", default="", metavar="FILE", help="Its key, if that is elsewhere.")
    @functools.wraps(function)
    def asked(  # noqa: PLR0913 - click gives each option a parameter
        *arguments: object,
        url: str,
        state: Path | None,
        token_file: Path | None,
        ca: str,
        certificate: str,
        key: str,
        **others: object,
    ) -> None:
        trust = verifying(ca, certificate, key)
        folder = state or default_place().state.parent
        gateway = client_of(url, token_file, trust, os.environ, folder)
        function(*arguments, gateway=gateway, **others)

    return asked
