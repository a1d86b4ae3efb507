"""``davylamp pack update``: fetch the newest pack, prove it, and put it in force."""

import json
from pathlib import Path

import click

from davylamp.commands.pack._site import put_in_force, site_of, site_options
from davylamp.errors import ConfigError, PackError
from davylamp.signatures.pack import Pack
from davylamp.updates.client import Client, Offer
from davylamp.updates.install import (
    changing,
    check_not_older,
    check_offered,
    examine,
    install,
    updating,
)
from davylamp.updates.loading import PackSource, load_source
from davylamp.updates.store import Store
from davylamp.wording import counted

_FOUND = 3


@click.command("update")
@click.option("--from", "place", help="URL or folder of the repository; else pack.repository.")
@click.option(
    "--root",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The root.json that trust begins with; needed the first time.",
)
@click.option("--check", is_flag=True, help="Only say what there is; exit status 3 if it is newer.")
@click.option("--no-shadow", is_flag=True, help="Do not try it on live traffic before.")
@click.option("--force", is_flag=True, help="Take a pack that was returned from before.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@site_options
def command(  # noqa: PLR0913 - one parameter an option
    *,
    place: str | None,
    root: Path | None,
    check: bool,
    no_shadow: bool,
    force: bool,
    as_json: bool,
    config_file: Path | None,
    directory: Path | None,
) -> None:
    """Fetch the newest pack over TUF, prove it, and put it in force on all workers.

    A running gateway tries it beside the live pack first. Whatever is refused, the old pack stays.
    Exit status: 0 in force (or nothing newer), 2 refused, 3 with --check: there is a newer one.
    """
    site = site_of(config_file, directory)
    place = place or site.config.repository
    if not place:
        raise ConfigError("no repository: give --from URL or set pack.repository")
    root = root or (Path(site.config.root) if site.config.root else None)
    given = _read(root) if root else None
    with updating(site.store):
        with changing(site.store):
            site.store.tidy()
        client = Client(place, site.store.folder / "trust", given)
        offer = client.look(site.config.name)
        newer = _is_newer(site.store, offer, force=force, check=check)
        if check or not newer:
            _say(offer, "newer" if newer else "nothing newer", as_json=as_json)
            raise SystemExit(_FOUND if check and newer else 0)
        examined = examine(site.store, client.fetch(offer))
        check_offered(examined.manifest, offer.name, offer.number)
        flows = 0 if no_shadow else site.config.shadow_flows
        with changing(site.store):
            _is_newer(site.store, offer, force=force, check=False)  # it may have been pinned
            before = site.store.source(site.store.state().in_force)
            installed = install(site.store, examined)
            changed = _changed(before, installed.pack)
            reason = f"update to {examined.manifest.identity}"
            shown = put_in_force(site, installed.selection, reason, shadow_flows=flows)
    _say(offer, f"{changed}; {shown}", as_json=as_json)


def _changed(before: PackSource, pack: Pack) -> str:
    """Say how many signatures there are now, and how many came and went."""
    now = pack.signatures.keys()
    shown = counted(len(now), "signature")
    try:
        then = load_source(before).pack.signatures.keys()
    except PackError:
        return shown
    return f"{shown}, {len(now - then)} new, {len(then - now)} gone"


def _is_newer(store: Store, offer: Offer, *, force: bool, check: bool) -> bool:
    """Tell whether to install; raise PackError where that is not allowed."""
    state = store.state()
    check_not_older(state, offer.name, offer.number)
    identity = f"{offer.name}-{offer.number}"
    if state.in_force.pack == identity:
        return not store.holds(state.in_force)  # what is damaged here is fetched again
    if check:
        return True
    if state.pinned:
        raise PackError(
            f"{state.in_force.pack or 'the shipped pack'} is pinned; "
            "davylamp pack pin --off lets updates in"
        )
    if identity in state.rejected and not force:
        raise PackError(
            f"{identity} was returned from: {state.rejected[identity]}; "
            "--force takes it all the same"
        )
    return True


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error


def _say(offer: Offer, outcome: str, *, as_json: bool) -> None:
    if as_json:
        shown = {"name": offer.name, "number": offer.number, "version": offer.version}
        click.echo(json.dumps({**shown, "outcome": outcome}))
    else:
        click.echo(f"{offer.name}-{offer.number} ({offer.version}): {outcome}")
