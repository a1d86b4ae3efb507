"""What the subcommands that ask a gateway's API share: where it is, and with what one asks it."""

import functools
import os
from collections.abc import Callable
from pathlib import Path

import click

from davylamp.api.client import client_of
from davylamp.commands.config import config_of, config_option
from davylamp.config import GatewayConfig
from davylamp.errors import ConfigError
from davylamp.incidents.place import state_folder
from davylamp.metrics.server import read_listen
from davylamp.tls import verifying
from davylamp.wording import endpoint

_URL = "http://127.0.0.1:9465"


def gateway_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command ``--url`` and what vouches for either side; it gets the ``gateway``."""

    @click.option("--url", metavar="URL", help=f"The API's address; default: {_URL}.")
    @click.option(
        "--state",
        type=click.Path(path_type=Path, file_okay=False),
        help="The gateway's state directory, which has the token.",
    )
    @click.option(
        "--token-file", type=click.Path(path_type=Path, dir_okay=False), help="Another token."
    )
    @click.option("--ca", default="", metavar="FILE", help="PEM file that vouches for it.")
    @click.option(
        "--certificate", default="", metavar="FILE", help="PEM file that vouches for you."
    )
    @click.option("--key", default="", metavar="FILE", help="Its key, if that is elsewhere.")
    @config_option("the API and the token that it says")
    @functools.wraps(function)
    def asked(  # noqa: PLR0913 - click gives each option a parameter
        *arguments: object,
        url: str | None,
        state: Path | None,
        token_file: Path | None,
        ca: str,
        certificate: str,
        key: str,
        config_file: Path | None,
        **others: object,
    ) -> None:
        config = config_of(config_file)
        if url is None:
            url = _url_of(config) if config_file is not None else _URL
        said = token_file is not None or os.environ.get("DAVYLAMP_API_TOKEN")
        if not said and config.api.read_token_file:
            token_file = Path(config.api.read_token_file)
        trust = verifying(ca, certificate, key)
        gateway = client_of(url, token_file, trust, os.environ, state or state_folder(config))
        function(*arguments, gateway=gateway, **others)

    return asked


def _url_of(config: GatewayConfig) -> str:
    """Return where a gateway of that configuration is asked on its own host."""
    listen = read_listen(config.api.listen)
    if listen is None:
        raise ConfigError("the configuration has no api.listen, so nobody can be asked")
    address, port = listen
    loopback = "::1" if address.version == 6 else "127.0.0.1"
    host = loopback if address.is_unspecified else str(address)
    return f"{'https' if config.api.tls.certificate else 'http'}://{endpoint(host, port)}"
