"""``davylamp bench accuracy``: how much of mining is told, and how much else is told wrongly."""

import os
import sys
from pathlib import Path

import click
import msgspec
from rich.console import Console

from davylamp.accuracy.corpora import Corpus, Label, parse_corpus, reference_corpora
from davylamp.accuracy.figures import Report
from davylamp.accuracy.run import run
from davylamp.accuracy.show import as_json, as_markdown, show, write_into
from davylamp.errors import ConfigError
from davylamp.paths import DATA_ROOT, SIGNATURES

_VECTORS = DATA_ROOT / "tests" / "signatures"
_CORPORA = DATA_ROOT.parent / "shared" / "corpora"
_RECORDED = DATA_ROOT / "tests" / "data" / "near-misses"

_PAGE = 110  # columns, where no terminal says how wide it is

_EPILOG = """\b
Examples:
  davylamp bench accuracy                                 tables, a minute or less
  davylamp bench accuracy --corpus benign=/srv/captures   one's own traffic, for false alarms
  davylamp bench accuracy --json | jq .shortfalls         what fell short, for a script

\b
Exit status: 0 all that was expected was told, and nothing else; 1 not so, and standard error says
what; 2 a pack, a vector or a corpus cannot be used.
"""


@click.command("accuracy", epilog=_EPILOG)
@click.option(
    "--corpus",
    "corpora",
    metavar="LABEL=PATH",
    multiple=True,
    help="Captures: mining=PATH, benign=PATH or near=PATH, file or folder; may be repeated.",
)
@click.option(
    "--vectors",
    type=click.Path(path_type=Path, file_okay=False),
    default=_VECTORS,
    help="The folder with the signatures' examples; a checkout has one.",
)
@click.option(
    "--signatures",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=SIGNATURES / "core",
    help="The signature pack's folder, instead of the core pack.",
)
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, 256),
    default=max(1, min(8, os.cpu_count() or 1)),
    show_default=True,
    help="How many processes measure at once.",
)
@click.option("--json", "as_object", is_flag=True, help="The counts as one JSON object on stdout.")
@click.option("--markdown", is_flag=True, help="The tables as Markdown on stdout.")
@click.option(
    "--into",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Put the Markdown between the markers of this page.",
)
def accuracy(  # noqa: PLR0913 - one parameter an option
    *,
    corpora: tuple[str, ...],
    vectors: Path,
    signatures: Path,
    jobs: int,
    as_object: bool,
    markdown: bool,
    into: Path | None,
) -> None:
    """Run the signatures' examples through inspection and policy in every wrapping; count.

    Each is sent in each layer and written in each way, and near misses likewise; then captures are
    replayed: without --corpus, the recordings and reference corpora that a checkout comes with.
    """
    if not vectors.is_dir():
        raise ConfigError(f"{vectors}: no vectors; give --vectors tests/signatures of a checkout")
    narrator = Console(stderr=True)

    def say(text: str) -> None:
        narrator.print(
            f"[dim]davylamp bench accuracy:[/dim] {text}", highlight=False, soft_wrap=True
        )

    chosen, notes = _corpora(corpora)
    report = run(signatures, vectors, chosen, jobs=jobs, say=say, notes=notes)
    if into is not None:
        write_into(into, as_markdown(report))
    if as_object:
        sys.stdout.buffer.write(msgspec.json.encode(as_json(report)) + b"\n")
    elif markdown:
        click.echo(as_markdown(report))
    else:
        show(report, Console(width=None if sys.stdout.isatty() else _PAGE))
    sys.exit(_judged(report))


def _corpora(given: tuple[str, ...]) -> tuple[tuple[Corpus, ...], tuple[str, ...]]:
    """Return the captures to read, and what to say of their absence."""
    if given:
        return tuple(parse_corpus(text) for text in given), ()
    found = reference_corpora(_CORPORA)
    absent = "No captures of others' traffic: the reference corpora are not beside this checkout."
    recorded = (Corpus(Label.NEAR, _RECORDED),) if _RECORDED.is_dir() else ()
    return (*found, *recorded), () if found else (absent,)


def _judged(report: Report) -> int:
    shortfalls = list(report.shortfalls())
    for shortfall in shortfalls:
        click.echo(f"davylamp bench accuracy: {shortfall}", err=True)
    return 1 if shortfalls else 0
