"""``davylamp pack rollback``: return to a pack that was in force before."""

import hashlib
from pathlib import Path

import click
import msgspec

from davylamp.commands.pack._site import put_in_force, site_of, site_options
from davylamp.errors import PackError
from davylamp.updates.install import changing
from davylamp.updates.loading import load_source
from davylamp.updates.state import SHIPPED, Selection
from davylamp.updates.store import Store


@click.command("rollback")
@click.argument("identity", required=False)
@site_options
def command(*, identity: str | None, config_file: Path | None, directory: Path | None) -> None:
    """Put the last good pack in force again, or IDENTITY (as core-12, or shipped).

    The next update goes forward again unless the pack is pinned. Exit status: 0 done, 2 not.
    """
    site = site_of(config_file, directory)
    with changing(site.store):
        chosen = _chosen(site.store, identity)
        load_source(site.store.source(chosen))
        shown = put_in_force(site, chosen, "rollback", probation=False)
    click.echo(f"{chosen.pack or 'the shipped pack'}: {shown}")


def _chosen(store: Store, identity: str | None) -> Selection:
    """Return what to go back to, with what the site changed as it is now."""
    state = store.state()
    now = state.in_force
    if identity is None:
        if state.last_good is None:
            raise PackError("there is nothing to return to; davylamp pack list shows what is here")
        back = state.last_good
    elif identity == "shipped":
        back = Selection(pack=SHIPPED)
    else:
        file = Path(store.find(identity).file)
        try:
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
        except OSError as error:
            raise PackError(f"{file}: cannot be read: {error.strerror}") from error
        back = Selection(pack=identity, sha256=digest)
    return msgspec.structs.replace(back, disabled=now.disabled, enabled=now.enabled)
