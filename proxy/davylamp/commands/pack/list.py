"""``davylamp pack list``: what is in force, what is here, and what the site changed."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import click

from davylamp.commands.pack._site import site_of, site_options
from davylamp.errors import PackError
from davylamp.updates.loading import load_source
from davylamp.updates.state import SHIPPED, Selection
from davylamp.updates.store import Store
from davylamp.wording import counted


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@site_options
def command(*, as_json: bool, config_file: Path | None, directory: Path | None) -> None:
    """List the packs that are here; the one in force is marked.

    Exit status: 0 listed, 2 the folder cannot be read.
    """
    site = site_of(config_file, directory)
    state = site.store.state()
    names = [SHIPPED, *(one.identity for one in site.store.installed())]
    if state.in_force.pack not in names:  # somebody removed it
        names.append(state.in_force.pack)
    rows = [_row(site.store, state.in_force, name) for name in names]
    shown = {
        "in_force": state.in_force.pack or "shipped",
        "pinned": state.pinned,
        "disabled": state.in_force.disabled,
        "enabled": state.in_force.enabled,
        "rejected": state.rejected,
        "packs": rows,
    }
    if as_json:
        click.echo(json.dumps(shown))
        return
    for row in rows:
        mark = "*" if row["in_force"] else " "
        there = f"{row['version']}  {counted(row['signatures'], 'signature')}{row['note']}"
        facts = row["error"] or there
        click.echo(f"{mark} {row['pack']:20} {facts}")
    for word, ids in (("off", state.in_force.disabled), ("on", state.in_force.enabled)):
        if ids:
            click.echo(f"switched {word} here: {', '.join(ids)}")
    if state.pinned:
        click.echo("pinned: no update changes what is in force")
    for identity, reason in state.rejected.items():
        click.echo(f"returned from {identity}: {reason}")


def _row(store: Store, in_force: Selection, name: str) -> dict[str, Any]:
    selection = in_force if name == in_force.pack else Selection(pack=name)
    row: dict[str, Any] = {
        "pack": name or "shipped",
        "in_force": name == in_force.pack,
        "version": "",
        "signatures": 0,
        "expires": "",
        "note": "",
        "error": "",
    }
    try:
        loaded = load_source(store.source(selection))
    except PackError as error:
        return {**row, "error": str(error)}
    row |= {"version": loaded.pack.version, "signatures": len(loaded.pack.signatures)}
    if loaded.manifest is not None:
        expired = loaded.manifest.expires < dt.datetime.now(dt.UTC)
        row["expires"] = loaded.manifest.expires.isoformat()
        row["note"] = f", {'EXPIRED' if expired else 'good until'} {row['expires'][:10]}"
    return row
