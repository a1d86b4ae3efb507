"""``davylamp health``: ask a running gateway how it is, for supervisors and people."""

import os
from pathlib import Path

import click
import msgspec

from davylamp.api.client import client_of
from davylamp.api.model import Health


@click.command("health")
@click.option(
    "--url", default="http://127.0.0.1:9465", show_default=True, help="The API's address."
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default="/var/lib/davylamp",
    show_default=True,
    help="The gateway's state directory, which has the token.",
)
@click.option(
    "--token-file", type=click.Path(path_type=Path, dir_okay=False), help="Another token."
)
@click.option("--ca", default="", metavar="FILE", help="PEM file that vouches for it.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def command(  # noqa: PLR0913 - click gives each option a parameter
    ctx: click.Context, url: str, state: Path, token_file: Path | None, ca: str, *, as_json: bool
) -> None:
    """Ask a gateway's API how it is.

    Exit status: 0 if all is well, 1 if something is not, 2 if it cannot be asked.
    The token is --token-file, else $DAVYLAMP_API_TOKEN, else the one in --state.
    """
    gateway = client_of(url, token_file, ca, os.environ, state)
    told = gateway.read("/api/v1/health", Health)
    if as_json:
        click.echo(msgspec.json.encode(told))
    else:
        click.echo(f"well, for {told.uptime_seconds:.0f} s" if told.ok else "not well")
        for problem in told.problems:
            click.echo(f"- {problem}")
    ctx.exit(0 if told.ok else 1)
