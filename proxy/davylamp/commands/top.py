"""``davylamp top``: a gateway live in the terminal."""

import sys
from functools import partial

import click
import msgspec

from davylamp.api.client import ApiClient
from davylamp.attribution.render import print_view
from davylamp.commands._gateway import gateway_options
from davylamp.errors import ConfigError
from davylamp.top.asking import look_at
from davylamp.top.picture import picture
from davylamp.top.screen import watch

_PROBLEMS = 3
_ONCE_LINES = 60
_EPILOG = """\b
Examples:
  davylamp top                                  this host's gateway; q ends it
  davylamp top --once --json | jq .queues
  davylamp top --url https://gw.example:9465 --ca site.pem --token-file read.token

\b
The gateway needs api.listen. Exit status: 0 it is well; 3 (--once) it names a problem;
2 it cannot be asked. The token is --token-file, else $DAVYLAMP_API_TOKEN, else the one in --state,
or where --config says.
"""


@click.command("top", epilog=_EPILOG)
@gateway_options
@click.option("--every", type=click.FloatRange(0.2, 3600), default=1.0, show_default=True)
@click.option("--once", is_flag=True, help="Print one picture and end.")
@click.option("--json", "as_json", is_flag=True, help="With --once: one JSON object on stdout.")
@click.pass_context
def command(
    ctx: click.Context, gateway: ApiClient, every: float, *, once: bool, as_json: bool
) -> None:
    """Show flows, verdicts, queues and the pack of a gateway, as they are now."""
    if as_json and not once:
        raise click.UsageError("--json goes with --once")
    if not once:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise ConfigError("top needs a terminal; --once prints one picture anywhere")
        watch(partial(look_at, gateway), every)
        return
    look = look_at(gateway, _ONCE_LINES)
    if as_json:
        click.echo(msgspec.json.encode(look))
    else:
        print_view(picture(look, _ONCE_LINES))
    ctx.exit(0 if look.health.ok else _PROBLEMS)
