"""``davylamp ca``: the certificate that clients of the proxy are to trust, and how they come to."""

import datetime as dt
import functools
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import click

from davylamp.attribution.place import default_place
from davylamp.authority import describe, install_hints
from davylamp.commands._group import Group
from davylamp.commands.config import config_option, read_layers
from davylamp.errors import ConfigError
from davylamp.interception.ca import CERTIFICATE_FILE, authority_folder, rotate
from davylamp.wiring import place_of

MITMPROXYS = "~/.mitmproxy/mitmproxy-ca-cert.pem"


@click.group("ca", cls=Group)
def command() -> None:
    """Show or change the proxy's certificate authority, and have clients trust it."""


def _which(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command ``--cert`` and ``--config``; it gets the certificate's path."""

    @click.option(
        "--cert",
        type=click.Path(path_type=Path),
        help=f"The certificate; the gateway's if it has one, else {MITMPROXYS}.",
    )
    @config_option("the certificate where that keeps it")
    @functools.wraps(function)
    def asked(*, cert: Path | None, config_file: Path | None, **others: object) -> None:
        function(cert=_found(cert, config_file), **others)

    return asked


def _found(given: Path | None, config_file: Path | None) -> Path:
    """Return the certificate that is meant: the gateway's where it has one, else mitmproxy's."""
    if given is not None:
        return given.expanduser()
    if config_file is not None:
        return authority_folder(place_of(read_layers(config_file, ()).config)) / CERTIFICATE_FILE
    own = authority_folder(default_place()) / CERTIFICATE_FILE
    return own if own.exists() else Path(MITMPROXYS).expanduser()


@command.command("show")
@_which
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
def show(cert: Path, *, as_json: bool) -> None:
    """Show which certificate it is, how long it is valid, and whether its key is safe.

    Exit status: 0 shown, 2 there is none or it cannot be read.
    """
    shown = asdict(describe(cert))
    if as_json:
        click.echo(json.dumps(shown))
        return
    width = max(map(len, shown))
    for name, value in shown.items():
        if value:
            click.echo(f"{name.replace('_', ' '):{width}}  {value}")


@command.command("install-hints")
@_which
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
def hints(cert: Path, *, as_json: bool) -> None:
    """Print what to write into an image, for each system and program that has its own trust store.

    Each line stands for an image into which the certificate was copied as /tmp/davylamp-ca.crt.
    """
    described = describe(cert)
    found = install_hints()
    if as_json:
        click.echo(json.dumps([asdict(hint) for hint in found]))
        return
    click.echo(f"# The certificate to copy into the image: {described.path}")
    for hint in found:
        click.echo(f"\n# {hint.client}: {hint.note}" if hint.note else f"\n# {hint.client}")
        click.echo("\n".join(hint.lines))


@command.command("rotate")
@_which
@click.option(
    "--grace-days",
    type=click.IntRange(0, 3650),
    default=30,
    show_default=True,
    help="How long clients of the old authority go on; 0 where its key may have been stolen.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
def change(cert: Path, grace_days: int, *, as_json: bool) -> None:
    """Put a new authority in the old one's place; a gateway that runs takes it up by itself.

    For the days of grace clients that trust either are served. Exit status: 0 changed, 2 not.
    """
    if cert.name != CERTIFICATE_FILE:
        raise ConfigError(f"{cert}: only an authority in files of mitmproxy's names can be changed")
    changed = rotate(cert.parent, dt.timedelta(days=grace_days), dt.datetime.now(dt.UTC))
    if as_json:
        previous = str(changed.previous) if changed.previous else ""
        shown = {"certificate": str(changed.certificate), "previous": previous}
        click.echo(json.dumps({**shown, "until": changed.until}))
        return
    click.echo(f"new authority: {changed.certificate}")
    if changed.previous is None:
        click.echo("clients of the old one fail until they trust this one")
    else:
        click.echo(f"clients of the old one ({changed.previous}) go on until {changed.until}")
    click.echo("put the new certificate into the images: davylamp ca install-hints")
