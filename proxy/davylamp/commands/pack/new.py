"""``davylamp pack new``: a signature and its vectors to begin with."""

from datetime import UTC, datetime
from pathlib import Path

import click

from davylamp.errors import ConfigError
from davylamp.proving.scaffold import Form, manifest, scaffold
from davylamp.signatures.pack import MANIFEST

_EPILOG = """\b
Examples:
  davylamp pack new toy-hello --pack my-pack             a JSON message
  davylamp pack new toy-share --pack my-pack --form line a line of text
  davylamp pack test my-pack                             passes; now change both files
"""


@click.command("new", epilog=_EPILOG)
@click.argument("identity", metavar="ID")
@click.option(
    "--pack",
    "path",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    show_default=True,
    help="The pack's folder; made if it is not there.",
)
@click.option("--family", help="The folder in the pack; the id's first word if it is left out.")
@click.option(
    "--form",
    type=click.Choice([form.value for form in Form]),
    default=Form.JSON.value,
    show_default=True,
    help="What kind of message it is about.",
)
def command(*, identity: str, path: Path, family: str | None, form: str) -> None:
    """Write a signature ID and its vectors, which pass `davylamp pack test` as they are."""
    files = scaffold(identity, family or identity.partition("-")[0], Form(form))
    if not (path / MANIFEST).exists():
        if path.is_dir() and any(path.iterdir()):
            raise ConfigError(f"{path}: not a pack (no {MANIFEST}) and not empty; give --pack DIR")
        name = path.resolve().name
        files |= [manifest(name, f"{datetime.now(tz=UTC):%Y.%m.%d}".replace(".0", "."))]
    for relative in files:
        if (path / relative).exists():
            raise ConfigError(f"{path / relative}: there already; choose another id")
    for relative, text in files.items():
        try:
            (path / relative).parent.mkdir(parents=True, exist_ok=True)
            (path / relative).write_text(text, "utf-8")
        except OSError as error:
            raise ConfigError(f"{path / relative}: {error.strerror or error}") from error
        click.echo(path / relative)
    click.echo(f"Now change them, and run: davylamp pack test {path}")
