"""``davylamp incidents``: what happened, who did it, and a bundle to hand on."""

import json
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import msgspec

from davylamp import events
from davylamp.attribution.endpoint import shown_url
from davylamp.attribution.render import as_json as dossier_json
from davylamp.attribution.render import print_view
from davylamp.commands._group import Group
from davylamp.commands._store import store_options
from davylamp.errors import ConfigError, LineageUnavailable
from davylamp.incidents.bundle import MAX_BYTES, Bundle, check_bundle, make_bundle, store_faults
from davylamp.incidents.model import Status
from davylamp.incidents.operations import IncidentOperations
from davylamp.incidents.pcapfiles import joined
from davylamp.incidents.questions import Wanted, alerts_of, whose
from davylamp.incidents.reach import opened, user
from davylamp.incidents.render import Listing, view
from davylamp.wording import inert

NOT_FOUND = 1
CHANGED = 3
_EPILOG = """\b
Examples:
  davylamp incidents list --open
  davylamp incidents list --experiment exp-4 --since 24h --json
  davylamp incidents show inc-1a2b3c4d5e6f
  davylamp incidents export inc-1a2b3c4d5e6f --no-pcap
  davylamp incidents verify inc-1a2b3c4d5e6f.zip
  davylamp incidents resolve inc-1a2b3c4d5e6f --note "container removed"

\b
Exit status: 0 done; 1 no such incident; 2 the store does not answer, or the arguments are wrong;
3 (verify) the bundle is not as it was exported. The store is --url, else what --config says, else
$DAVYLAMP_LINEAGE_URL, else the gateway's own, which is started for the purpose where the gateway is
down.
"""

_json_option = click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _since(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str:
    """Read ``24h`` and its like, or an RFC 3339 time; without a zone it is local time."""
    if value is None:
        return ""
    number, unit = value[:-1], value[-1:]
    if unit in _UNITS and number.isascii() and number.isdigit() and len(number) < 7:
        began = datetime.now(tz=UTC) - timedelta(seconds=int(number) * _UNITS[unit])
        return events.rfc3339(began.timestamp())
    try:
        return events.rfc3339(datetime.fromisoformat(value).timestamp())
    except (ValueError, OverflowError):
        problem = f"{value!r} is neither an RFC 3339 time nor a span like 30m, 24h or 7d"
        raise click.BadParameter(problem) from None


@click.group("incidents", cls=Group, epilog=_EPILOG)
def command() -> None:
    """See what the gateway found, hand it on, and put it to rest."""


@command.command("list")
@click.option("--open", "status", flag_value=Status.OPEN.value, help="Only open ones.")
@click.option("--resolved", "status", flag_value=Status.RESOLVED.value, help="Only resolved ones.")
@click.option("--run", "run_id", default="", help="Only of this run.")
@click.option("--experiment", "experiment_id", default="", help="Only of this experiment.")
@click.option("--container", default="", help="Only of this container, lifecycle or address.")
@click.option("--since", callback=_since, metavar="TIME", help="Only with an alert since then.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@store_options
@_json_option
def list_(  # noqa: PLR0913 - click gives each option a parameter
    *,
    status: str | None,
    run_id: str,
    experiment_id: str,
    container: str,
    since: str,
    limit: int,
    url: str | None,
    as_json: bool,
) -> None:
    """List incidents, the one with the newest alert first; with --json one object a line."""
    with opened(url) as store:
        known, place = store.run(IncidentOperations.beside(store.operations).listing()), store.url
    wanted = Wanted(Status(status) if status else None, run_id, experiment_id, container, since)
    found = [one for one in known if wanted.takes(one)]
    if as_json:
        for one in found[:limit]:
            click.echo(json.dumps(msgspec.to_builtins(one)))
        return
    if not found:
        here = f"no incident in {shown_url(place)}; --config FILE asks the store of that gateway"
        click.echo(f"none of {len(known)} incidents is like that" if known else here)
        return
    print_view(Listing(found[:limit]))
    if len(found) > limit:
        click.echo(f"and {len(found) - limit} more: --limit {len(found)}")


@command.command()
@click.argument("incident_id", required=False)
@store_options
@_json_option
@click.pass_context
def show(ctx: click.Context, incident_id: str | None, *, url: str | None, as_json: bool) -> None:
    """Show one incident: who, what, why, how sure, what was done, and its tool calls.

    Without an id it is the one with the newest alert.
    """
    with opened(url) as store:
        operations = IncidentOperations.beside(store.operations)
        if incident_id is None:
            incident_id = next((one.id for one in store.run(operations.listing())), "")
        record = store.run(operations.look_up(incident_id)) if incident_id else None
    if record is None:
        _not_found(ctx, incident_id, as_json=as_json)
        return
    alerts = alerts_of(record)
    if as_json:
        told = [msgspec.to_builtins(alert) for alert in alerts]
        click.echo(json.dumps({**msgspec.to_builtins(record.incident), "events": told}))
    else:
        print_view(view(record.incident, alerts))


@command.command()
@click.argument("incident_id")
@click.option("--note", default="", help="Why: what was found, what was done.")
@click.option("--by", default="", help="Who; default: the user who runs this.")
@store_options
@_json_option
@click.pass_context
def resolve(  # noqa: PLR0913 - click gives each option a parameter
    ctx: click.Context, incident_id: str, *, note: str, by: str, url: str | None, as_json: bool
) -> None:
    """Put an incident to rest. Repeating it is harmless; a new alert within minutes reopens it."""
    with opened(url) as store:
        operations = IncidentOperations.beside(store.operations)
        held = store.run(operations.resolve(incident_id, by or user(), note, time.time()))
    if held is None:
        _not_found(ctx, incident_id, as_json=as_json)
    elif as_json:
        click.echo(json.dumps(msgspec.to_builtins(held.incident)))
    else:
        said = held.incident.resolution
        click.echo(f"{held.incident.id} is resolved, by {said.by if said else ''}")


@command.command()
@click.argument("incident_id")
@click.option("--output", type=click.Path(path_type=Path), help="Default: ID.zip, here.")
@click.option("--no-pcap", is_flag=True, help="Leave the packets out: they hold raw secrets.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@store_options
@_json_option
@click.pass_context
def export(  # noqa: PLR0913 - click gives each option a parameter
    ctx: click.Context,
    incident_id: str,
    *,
    output: Path | None,
    no_pcap: bool,
    force: bool,
    url: str | None,
    as_json: bool,
) -> None:
    """Write an incident to a zip file that shows later editing (see `verify`)."""
    with opened(url) as store:
        operations = IncidentOperations.beside(store.operations)
        record = store.run(operations.look_up(incident_id))
        if record is None:
            _not_found(ctx, incident_id, as_json=as_json)
            return
        dossier = store.run(store.operations.look_up(whose(record.incident)))
        lineage = dossier_json(dossier) if dossier is not None else None
        packets = None if no_pcap else joined(record.incident.evidence)
        bundle = make_bundle(record, lineage, packets, events.rfc3339(time.time()))
        file = output or Path(f"{record.incident.id}.zip")
        _write(file, bundle, force=force)
        store.run(operations.exported(record.incident.id, bundle.digest))
    if as_json:
        told = {"file": str(file), "manifest_sha256": bundle.digest}
        click.echo(json.dumps({**told, "manifest": msgspec.to_builtins(bundle.manifest)}))
        return
    click.echo(f"wrote {file}")
    for line in (*bundle.manifest.notes, *(f"missing: {one}" for one in bundle.manifest.missing)):
        click.echo(f"  {line}")


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--offline", is_flag=True, help="Do not ask the store what it has on record.")
@store_options
@_json_option
@click.pass_context
def verify(
    ctx: click.Context, file: Path, *, offline: bool, url: str | None, as_json: bool
) -> None:
    """Tell whether a bundle is as it was exported, and name what was changed."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{file}: too large for a bundle of an incident")
        data = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}; name a file made by export") from error
    checked = check_bundle(data)
    faults = checked.faults
    manifest = checked.manifest
    if not offline:
        try:
            with opened(url) as store:
                length = len(manifest.chain.digests)
                operations = IncidentOperations.beside(store.operations)
                witnessed = store.run(operations.witness(manifest.incident_id, length))
                faults += store_faults(checked, *witnessed)
        except LineageUnavailable as error:
            message = f"{error}; --offline tells what the file itself can tell"
            raise LineageUnavailable(message) from error
    if as_json:
        told = {"incident_id": manifest.incident_id, "whole": not faults, "faults": faults}
        click.echo(json.dumps({**told, "compared_with_store": not offline}))
    else:
        for fault in faults:
            click.echo(f"changed: {inert(fault)}")
        if not faults:
            against = "; the store was not asked" if offline else ", and the store agrees"
            click.echo(f"{file} is as it was exported{against}")
    ctx.exit(CHANGED if faults else 0)


def _write(file: Path, bundle: Bundle, *, force: bool) -> None:
    """Write a bundle for its owner's eyes only; raise ConfigError where that cannot be done."""
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL)
    try:
        with open(os.open(file, flags, 0o600), "wb") as out:  # noqa: PTH123 - mode from the start
            out.write(bundle.data)
    except FileExistsError:
        raise ConfigError(f"{file} is there already; --force replaces it") from None
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}; name another with --output") from error


def _not_found(ctx: click.Context, incident_id: str, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write("null\n")
    which = f"no incident {incident_id}" if incident_id else "no incident"
    click.echo(f"{which} is on record; try `davylamp incidents list`", err=True)
    ctx.exit(NOT_FOUND)
