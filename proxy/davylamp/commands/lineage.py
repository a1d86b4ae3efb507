"""``davylamp lineage``: who is, or was, behind an address or a container."""

import json
import subprocess
import time
from datetime import datetime
from typing import Any

import click
import msgspec

from davylamp.attribution import model
from davylamp.attribution.client import Client
from davylamp.attribution.model import Binding, Grade
from davylamp.attribution.render import as_json as dossier_json
from davylamp.attribution.render import bindings_table, dossier_view, print_view
from davylamp.attribution.store import Store
from davylamp.commands._group import Group
from davylamp.commands._store import store_options
from davylamp.errors import ConfigError

NOT_FOUND = 1
_EPILOG = """\b
Examples:
  davylamp lineage bind 10.0.0.7 sandbox-7 --run-id rlhf-12 --rollout-id r-3
  davylamp lineage tool-call sandbox-7 --tool bash -- ./run-the-tool
  davylamp lineage show sandbox-7              a container, lifecycle id or address
  davylamp lineage history 10.0.0.7 --at 2026-01-31T12:00:00Z
  davylamp lineage release 10.0.0.7

\b
Exit status: 0 done; 1 nothing is on record about that; 2 the store does not answer, or the
arguments are wrong. The store is --url, else what --config says,
else $DAVYLAMP_LINEAGE_URL, else the gateway's own.
"""

_json_option = click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")


def _moment(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """Read seconds since the epoch or an RFC 3339 time; without a zone it is local time."""
    if value is None:
        return None
    try:
        return float(value)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(value).timestamp()
    except ValueError:
        problem = f"{value!r} is neither RFC 3339 nor seconds since the epoch"
        raise click.BadParameter(problem) from None


@click.group("lineage", cls=Group, epilog=_EPILOG)
def command() -> None:
    """Say, and ask, which container and training work is behind an address."""


@command.command()
@click.argument("ip")
@click.argument("container", default="")
@click.option("--lifecycle-id", default="", help="Container id and start time, if you have it.")
@click.option("--container-id", default="")
@click.option("--image", default="")
@click.option("--run-id", default="")
@click.option("--experiment-id", default="")
@click.option("--rollout-id", default="")
@click.option("--trajectory-id", default="")
@click.option("--step", type=click.IntRange(0))
@click.option("--traceparent", default="", help="W3C trace context.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE")
@click.option(
    "--grade",
    type=click.Choice([grade.value for grade in Grade if grade.certain()]),
    default=Grade.DECLARED.value,
    show_default=True,
    help="How sure this is.",
)
@click.option("--source", default="cli", show_default=True, help="Who says so.")
@click.option("--at", callback=_moment, metavar="TIME", help="Since when; default: now.")
@store_options
@_json_option
def bind(  # noqa: PLR0913 - click gives each option a parameter
    ip: str,
    *,
    labels: tuple[str, ...],
    grade: str,
    at: float | None,
    url: str | None,
    as_json: bool,
    **fields: Any,
) -> None:
    """Bind address IP to CONTAINER. Repeating it is harmless."""
    now = time.time()
    start = now if at is None else at
    asked = Binding(ip=ip, valid_from=start, grade=Grade(grade), **fields)
    asked = model.with_labels(asked, dict(_label(each) for each in labels))
    with Store(url) as store:
        binding = store.run(store.operations.bind(asked, now))
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(binding)))
    else:
        click.echo(f"{binding.ip} is bound to {binding.container} ({binding.lifecycle_id})")


@command.command()
@click.argument("subject")
@click.option("--lifecycle-id", default="", help="Release an address only if this one holds it.")
@click.option("--at", callback=_moment, metavar="TIME", help="Since when; default: now.")
@store_options
@_json_option
def release(
    subject: str, *, lifecycle_id: str, at: float | None, url: str | None, as_json: bool
) -> None:
    """Release SUBJECT: an address, or all addresses of a container or lifecycle."""
    now = time.time()
    when = now if at is None else at
    with Store(url) as store:
        if _is_address(subject):
            count = int(store.run(store.operations.release(subject, lifecycle_id, when, now)))
        else:
            count = store.run(store.operations.release_container(subject, when, now))
    if as_json:
        click.echo(json.dumps({"subject": subject, "released": count}))
    else:
        click.echo(f"released {count} address(es) of {subject}" if count else "nothing to release")


@command.command()
@click.argument("subject", required=False)
@store_options
@_json_option
@click.pass_context
def show(ctx: click.Context, subject: str | None, *, url: str | None, as_json: bool) -> None:
    """Show SUBJECT (container, lifecycle id or address) with its tool calls and incidents.

    Without SUBJECT: every address that is bound now (the 1,000 changed last).
    """
    with Store(url) as store:
        if subject is None:
            _show_all(store.run(store.operations.listing(1_000)), as_json=as_json)
            return
        dossier = store.run(store.operations.look_up(subject))
    if dossier is None:
        _not_found(ctx, subject, as_json=as_json)
    elif as_json:
        click.echo(json.dumps(dossier_json(dossier)))
    else:
        print_view(dossier_view(dossier))


@command.command()
@click.argument("subject")
@click.option("--at", callback=_moment, metavar="TIME", help="Only who held it at that time.")
@store_options
@_json_option
@click.pass_context
def history(
    ctx: click.Context, subject: str, *, at: float | None, url: str | None, as_json: bool
) -> None:
    """List every binding on record of SUBJECT, oldest first; with --json one object a line."""
    with Store(url) as store:
        dossier = store.run(store.operations.look_up(subject))
    found = dossier.bindings if dossier is not None else ()
    if at is not None:
        found = tuple(each for each in found if each.covers(at))
    if not found:
        _not_found(ctx, subject, as_json=False)
    elif as_json:
        for each in found:
            click.echo(json.dumps(msgspec.to_builtins(each)))
    else:
        print_view(bindings_table(found))


@command.command("tool-call", context_settings={"ignore_unknown_options": True})
@click.argument("subject")
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- CMD [ARG]...")
@click.option("--tool", default="", help="What the tool is called.")
@click.option("--id", "tool_call_id", default="", help="The tool call's id; default: a new one.")
@click.option("--step", type=click.IntRange(0))
@click.option("--rollout-id", default="")
@click.option("--trajectory-id", default="")
@click.option("--traceparent", default="")
@store_options
@click.pass_context
def tool_call(
    ctx: click.Context,
    /,
    subject: str,
    argv: tuple[str, ...],
    *,
    url: str | None,
    **fields: Any,
) -> None:
    """Run CMD as a tool call of SUBJECT (container, lifecycle id or address).

    The exit status is CMD's. CMD runs even if the store is away.
    """
    fields["ip" if _is_address(subject) else "container"] = subject
    with Client(url, source="cli") as client, client.tool_call(**fields):
        try:
            code = subprocess.run(argv, check=False).returncode  # noqa: S603 - the user's command
        except OSError as error:
            raise ConfigError(f"cannot run {argv[0]}: {error.strerror}") from None
    ctx.exit(code if code >= 0 else 128 - code)


def _show_all(bindings: list[Binding], *, as_json: bool) -> None:
    if as_json:
        for each in bindings:
            click.echo(json.dumps(msgspec.to_builtins(each)))
    elif bindings:
        print_view(bindings_table(tuple(bindings)))
    else:
        click.echo("no address is bound")


def _not_found(ctx: click.Context, subject: str, *, as_json: bool) -> None:
    if as_json:
        click.echo("null")
    click.echo(f"nothing is on record about {subject}; try `davylamp lineage show`", err=True)
    ctx.exit(NOT_FOUND)


def _is_address(subject: str) -> bool:
    try:
        model.canonical_address(subject)
    except ConfigError:
        return False
    return True


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigError(f"--label {text!r} is not NAME=VALUE")
    return name, value
