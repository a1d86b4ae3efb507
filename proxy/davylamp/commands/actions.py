"""``davylamp actions``: what was done about incidents, and undoing it."""

import json
import time

import click
import msgspec
from msgspec.structs import replace

from davylamp.actions.model import Kind, Record, Status
from davylamp.actions.operations import ActionOperations
from davylamp.actions.render import listing
from davylamp.actions.telling import told
from davylamp.attribution.feedback import FeedbackOperations
from davylamp.attribution.render import print_view
from davylamp.attribution.store import Store
from davylamp.blocks.operations import BlockOperations
from davylamp.commands._group import Group
from davylamp.commands._store import store_options
from davylamp.incidents.operations import IncidentOperations
from davylamp.incidents.reach import opened, user

NOTHING = 1
_EPILOG = """\b
Examples:
  davylamp actions list
  davylamp actions list --incident inc-1a2b3c4d5e6f --json
  davylamp actions release inc-1a2b3c4d5e6f         everything that was done about it
  davylamp actions release sandbox-7                everything that was done to a container

\b
Exit status: 0 done; 1 there is nothing to undo; 2 the store does not answer, or the arguments are
wrong. The store is --url, else what --config says, else $DAVYLAMP_LINEAGE_URL, else the gateway's
own.
"""

_json_option = click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")


@click.group("actions", cls=Group, epilog=_EPILOG)
def command() -> None:
    """List what was done about incidents, by policy, and undo it."""


@command.command("list")
@click.option("--incident", default="", help="Only those about this incident.")
@click.option("--container", default="", help="Only those on this container, by name or id.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@store_options
@_json_option
def list_(*, incident: str, container: str, limit: int, url: str | None, as_json: bool) -> None:
    """List actions, newest first; with --json one object a line."""
    with opened(url) as store:
        known = store.run(ActionOperations.beside(store.operations).listing())
    found = [
        one
        for one in known
        if (not incident or one.planned.incident_id == incident)
        and (not container or one.concerns(container))
    ]
    if as_json:
        for one in found[:limit]:
            click.echo(json.dumps(msgspec.to_builtins(one)))
    elif found:
        print_view(listing(found[:limit]))
        if len(found) > limit:
            click.echo(f"and {len(found) - limit} more: --limit {len(found)}")
    else:
        click.echo(
            "policy did nothing beyond the verdict; `davylamp incidents show` has what was refused"
        )


@command.command()
@click.argument("subject")
@click.option("--by", default="", help="Who; default: the user who runs this.")
@store_options
@_json_option
@click.pass_context
def release(ctx: click.Context, subject: str, *, by: str, url: str | None, as_json: bool) -> None:
    """Undo what was done and lasts: about an incident, or to a container (name, id or lifecycle).

    Quarantines end and rollouts are cleared at once. Containers and pods are released by the
    gateway that acted on them, within seconds of this if it runs.
    """
    who = by or user()
    with opened(url) as store:
        operations = ActionOperations.beside(store.operations)
        marked = store.run(operations.ask_to_undo(subject, who, time.time()))
        undone = [_undone(store, one, who) for one in marked]
        for gateway in {one.gateway for one in undone if one.status is Status.UNDOING}:
            store.run(BlockOperations.beside(store.operations).ask_to_undo(gateway))
    if as_json:
        for one in undone:
            click.echo(json.dumps(msgspec.to_builtins(one)))
    for one in () if as_json else undone:
        asked = f"gateway {one.gateway} is asked to undo it"
        said = asked if one.status is Status.UNDOING else one.outcome
        click.echo(f"{one.planned.kind} of {one.planned.target}: {said}")
    if not undone:
        click.echo(f"nothing that lasts was done about {subject}", err=True)
        ctx.exit(NOTHING)


def _undone(store: Store, record: Record, by: str) -> Record:
    """Undo here what the store alone decides; leave the rest to the gateway that did it."""
    now = time.time()
    planned = record.planned
    match planned.kind:
        case Kind.QUARANTINE:
            blocks = BlockOperations.beside(store.operations)
            was = store.run(blocks.free(planned.lifecycle_id, by, now))
            said = "it may send again" if was else "it was over already"
        case Kind.FEEDBACK:
            feedback = FeedbackOperations.beside(store.operations)
            names = planned.run_id, planned.rollout_id, planned.incident_id
            store.run(feedback.revoke(*names, by, now))
            said = f"rollout {planned.rollout_id} is as before"
        case _:
            return record
    after = replace(record, status=Status.UNDONE, ended=now, outcome=said)
    if store.run(ActionOperations.beside(store.operations).change(record, after)):
        event = told(after, now)
        store.run(store.operations.record(event))
        store.run(IncidentOperations.beside(store.operations).note(event))
    return after
