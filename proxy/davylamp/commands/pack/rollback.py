"""``davylamp pack rollback``: return to a pack that was in force before."""

import hashlib
from pathlib import Path

import click
import msgspec

from davylamp.commands.pack._site import put_in_force, site_of, site_options
from davylamp.errors import PackError
from davylamp.updates.state import SHIPPED, Selection


@click.command("rollback")
@click.argument("identity", required=False)
@site_options
def command(*, identity: str | None, config_file: Path | None, directory: Path | None) -> None:
    """Put the last good pack in force again, or IDENTITY (as core-12, or shipped).

    The next update goes forward again unless the pack is pinned. Exit status: 0 done, 2 not.
    """
    site = site_of(config_file, directory)
    state = site.store.state()
    now = state.in_force
    if identity is None:
        if state.last_good is None:
            raise PackError("there is nothing to return to; davylamp pack list shows what is here")
        chosen = msgspec.structs.replace(
            state.last_good, disabled=now.disabled, enabled=now.enabled
        )
    elif identity == "shipped":
        chosen = Selection(pack=SHIPPED, disabled=now.disabled, enabled=now.enabled)
    else:
        data = Path(site.store.find(identity).file).read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        chosen = msgspec.structs.replace(now, pack=identity, sha256=digest)
    shown = put_in_force(site, chosen, "rollback")
    click.echo(f"{chosen.pack or 'the shipped pack'}: {shown}")
