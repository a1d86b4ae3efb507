"""``davylamp ca``: the certificate that clients of the proxy are to trust, and how they come to."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from davylamp.authority import describe, install_hints

DEFAULT = "~/.mitmproxy/mitmproxy-ca-cert.pem"


@click.group("ca")
def command() -> None:
    """Show the proxy's certificate authority, and how to have clients trust it."""


_which = click.option(
    "--cert",
    type=click.Path(path_type=Path),
    default=Path(DEFAULT),
    show_default=True,
    help="The certificate; mitmproxy makes it in its confdir when it first starts.",
)


@command.command("show")
@_which
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
def show(cert: Path, *, as_json: bool) -> None:
    """Show which certificate it is, how long it is valid, and whether its key is safe.

    Exit status: 0 shown, 2 there is none or it cannot be read.
    """
    shown = asdict(describe(cert.expanduser()))
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
    described = describe(cert.expanduser())
    found = install_hints()
    if as_json:
        click.echo(json.dumps([asdict(hint) for hint in found]))
        return
    click.echo(f"# The certificate to copy into the image: {described.path}")
    for hint in found:
        click.echo(f"\n# {hint.client}: {hint.note}" if hint.note else f"\n# {hint.client}")
        click.echo("\n".join(hint.lines))
