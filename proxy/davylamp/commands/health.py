"""``davylamp health``: ask a running gateway how it is, for supervisors and people."""

import click
import msgspec

from davylamp.api.client import ApiClient
from davylamp.api.model import Health
from davylamp.commands._gateway import gateway_options


@click.command("health")
@gateway_options
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def command(ctx: click.Context, gateway: ApiClient, *, as_json: bool) -> None:
    """Ask a gateway's API how it is.

    Exit status: 0 if all is well, 1 if something is not, 2 if it cannot be asked.
    The token is --token-file, else $DAVYLAMP_API_TOKEN, else the one in --state, or where --config
    says.
    """
    told = gateway.read("/api/v1/health", Health)
    if as_json:
        click.echo(msgspec.json.encode(told))
    else:
        click.echo(f"well, for {told.uptime_seconds:.0f} s" if told.ok else "not well")
        for problem in told.problems:
            click.echo(f"- {problem}")
    ctx.exit(0 if told.ok else 1)
