"""``davylamp pack schema``: the signature language, for editors and for people."""

import sys

import click
import msgspec

from davylamp.signatures.reference import reference
from davylamp.signatures.schema import signature_schema

_EPILOG = """\b
Examples:
  davylamp pack schema > signature.schema.json    for an editor's YAML plug-in
  davylamp pack schema --markdown                 the page docs/signature-reference.md
"""


@click.command("schema", epilog=_EPILOG)
@click.option("--markdown", is_flag=True, help="The reference as a page for people.")
def command(*, markdown: bool) -> None:
    """Print the JSON Schema of a signature file."""
    if markdown:
        click.echo(reference(), nl=False)
        return
    text = msgspec.json.format(msgspec.json.encode(signature_schema()), indent=2)
    sys.stdout.buffer.write(text + b"\n")
