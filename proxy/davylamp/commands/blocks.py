"""``davylamp blocks``: which endpoints all gateways refuse, and undoing it."""

import json
import time

import click
import msgspec

from davylamp.attribution.render import print_view
from davylamp.blocks.model import EndpointBlock, parse_endpoint
from davylamp.blocks.operations import BlockOperations, Standing
from davylamp.blocks.render import listing
from davylamp.commands._group import Group
from davylamp.commands._store import store_options
from davylamp.errors import ConfigError
from davylamp.incidents.reach import opened, user

_EPILOG = """\b
Examples:
  davylamp blocks list
  davylamp blocks add 203.0.113.10:3333 --seconds 86400 --reason "a pool, says the operator"
  davylamp blocks release tcp/203.0.113.10:3333

\b
An endpoint is ADDRESS:PORT, for TCP, or udp/ADDRESS:PORT; an IPv6 address stands in brackets.
Exit status: 0 done; 2 the store does not answer, or the arguments are wrong. The store is --url,
else what --config says, else $DAVYLAMP_LINEAGE_URL, else the gateway's own.
"""

_NONE = """no endpoint is refused everywhere
(what single sandboxes are refused is not listed: `davylamp incidents show` has it, and
`davylamp blocks release ADDRESS:PORT` lifts that too)"""
_LONGEST = 366 * 86_400.0
_REASON = 300
_json_option = click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
_by_option = click.option("--by", default="", help="Who; default: the user who runs this.")


@click.group("blocks", cls=Group, epilog=_EPILOG)
def command() -> None:
    """List, add and release endpoints that every gateway refuses."""


@command.command("list")
@store_options
@_json_option
def list_(*, url: str | None, as_json: bool) -> None:
    """List what is refused everywhere, newest first; with --json one object a line."""
    now = time.time()
    with opened(url) as store:
        found = store.run(BlockOperations.beside(store.operations).listing(now))
    if as_json:
        for one in found:
            click.echo(json.dumps(_as_json(one)))
    elif found:
        print_view(listing(found))
    else:
        click.echo(_NONE)


@command.command()
@click.argument("endpoint")
@click.option("--seconds", type=click.FloatRange(1, _LONGEST), default=3600.0, show_default=True)
@click.option("--reason", default="", help="Why.")
@_by_option
@store_options
@_json_option
def add(  # noqa: PLR0913 - click gives each option a parameter
    endpoint: str, *, seconds: float, reason: str, by: str, url: str | None, as_json: bool
) -> None:
    """Have ENDPOINT refused to every sandbox of every gateway. Repeating it only prolongs it."""
    if len(reason) > _REASON:
        raise ConfigError(f"--reason is longer than {_REASON} characters")
    now = time.time()
    wanted = EndpointBlock(
        endpoint=str(parse_endpoint(endpoint)),
        at=now,
        until=now + seconds,
        by=by or user(),
        reason=reason,
    )
    with opened(url) as store:
        fresh = store.run(BlockOperations.beside(store.operations).put(wanted, now))
    if as_json:
        click.echo(json.dumps({"added": fresh, "block": msgspec.to_builtins(wanted)}))
    else:
        already = "" if fresh else ", as it was already, for longer"
        click.echo(f"{wanted.endpoint} is refused everywhere{already}")


@command.command()
@click.argument("endpoint")
@_by_option
@store_options
@_json_option
def release(endpoint: str, *, by: str, url: str | None, as_json: bool) -> None:
    """Have ENDPOINT refused to nobody any more, by any gateway.

    Also what a gateway blocked for a single sandbox until now. Who mines there again is blocked
    again.
    """
    name = str(parse_endpoint(endpoint))
    with opened(url) as store:
        operations = BlockOperations.beside(store.operations)
        released = store.run(operations.release(name, by or user(), time.time()))
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(released)))
    else:
        click.echo(f"{name} is released")


def _as_json(one: Standing) -> dict[str, object]:
    return {**msgspec.to_builtins(one.block), "in_force": one.gateways}
