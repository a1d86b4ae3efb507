"""What the subcommands that change this site's packs share: which folder, and what to say."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec

from davylamp.commands.config import config_of, config_option
from davylamp.commands.pack._ids import no_such
from davylamp.config import PackConfig
from davylamp.errors import ConfigError, PackError
from davylamp.updates.install import changing, decide
from davylamp.updates.loading import load_source, unknown_ids
from davylamp.updates.state import Selection
from davylamp.updates.store import Store
from davylamp.wiring import store_of


@dataclass(frozen=True, slots=True)
class Site:
    """A store, and what the configuration says of packs."""

    store: Store
    config: PackConfig


def site_of(config_file: Path | None, directory: Path | None) -> Site:
    """Return what the two options name; raise ConfigError where a folder of signatures is fixed."""
    config = config_of(config_file)
    if config.signatures and directory is None:
        raise ConfigError(
            f"the configuration fixes the signatures to {config.signatures}; "
            "remove that key to have packs that are updated"
        )
    store = Store(directory.absolute(), config.pack.local) if directory else store_of(config)
    return Site(store, config.pack)


def site_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command ``--config`` and ``--directory``."""
    for option in (
        click.option(
            "--directory",
            type=click.Path(path_type=Path, file_okay=False),
            help="The folder of packs; by default the gateway's own.",
        ),
        config_option("the packs where that keeps them"),
    ):
        function = option(function)
    return function


def put_in_force(
    site: Site,
    selection: Selection,
    reason: str,
    *,
    shadow_flows: int = 0,
    probation: bool = True,
) -> str:
    """Put a selection in force; return how it went, or raise PackError saying why it did not."""
    outcome = decide(
        site.store,
        selection,
        reason,
        shadow_flows=shadow_flows,
        probation=probation,
        wait_seconds=180.0 + site.config.shadow_seconds,
    )
    if not outcome.accepted:
        raise PackError(f"the gateway refused it: {outcome.reason}; the old pack is in force")
    return outcome.reason


def switch_signature(
    config_file: Path | None, directory: Path | None, identity: str, *, on: bool
) -> None:
    """Switch a signature of the pack in force on or off; raise PackError where there is none."""
    site = site_of(config_file, directory)
    with changing(site.store):
        now = site.store.state().in_force
        pack = load_source(site.store.source(now)).pack
        unknown = bool(unknown_ids(pack, (identity,)))
        if unknown and identity not in now.disabled:  # which an older pack had, and may go
            raise PackError(no_such(identity, pack))
        disabled, enabled = set(now.disabled) - {identity}, set(now.enabled) - {identity}
        if not (unknown and on):
            (enabled if on else disabled).add(identity)
        chosen = msgspec.structs.replace(
            now, disabled=tuple(sorted(disabled)), enabled=tuple(sorted(enabled))
        )
        shown = put_in_force(site, chosen, f"{'enable' if on else 'disable'} {identity}")
    click.echo(f"{identity} is {'on' if on else 'off'}: {shown}")
