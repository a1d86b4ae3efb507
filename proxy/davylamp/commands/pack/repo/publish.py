"""``davylamp pack repo publish``: a pack into the repository, and out to gateways."""

import datetime as dt
from pathlib import Path

import click

from davylamp import __version__
from davylamp.commands.pack.repo._keys import (
    FOLDER,
    key_options,
    repository,
    say_waiting,
    signers_of,
)
from davylamp.paths import SIGNATURES
from davylamp.signatures.disk import vectors_of
from davylamp.updates.building import Terms, beside, build_archive, pack_files


@click.command("publish")
@FOLDER
@click.argument(
    "pack", required=False, type=click.Path(path_type=Path, file_okay=False, exists=True)
)
@click.option(
    "--vectors",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The pack's vectors; by default PACK/vectors.",
)
@click.option(
    "--with-core", is_flag=True, help="The core pack of this davylamp too, with PACK beside it."
)
@click.option("--number", type=click.IntRange(1), help="The version's number; greater each time.")
@click.option("--days", type=click.IntRange(1, 3650), default=90, show_default=True)
@click.option("--min-engine", default=__version__, show_default=True)
@click.option("--max-engine", default="", help="The newest davylamp it is for; any without.")
@key_options
def publish(  # noqa: PLR0913 - one parameter an option
    *,
    folder: Path,
    pack: Path | None,
    vectors: Path | None,
    with_core: bool,
    number: int | None,
    days: int,
    min_engine: str,
    max_engine: str,
    keys: tuple[Path, ...],
    passphrase_file: Path | None,
) -> None:
    """Put PACK into the repository in FOLDER, and renew what gateways ask for first.

    Needs the online keys (snapshot and timestamp); with the targets keys too it is out at once,
    without them it waits for `sign`. Without PACK it renews alone: run that daily. What people
    sign it drafts anew 30 days before that expires.

    A gateway runs one pack: without --with-core one that takes PACK knows PACK's signatures only.
    Exit status: 0 out, 2 not, 3 it waits for signatures.
    """
    repo = repository(folder)
    signers = signers_of(keys, passphrase_file)
    repo.check_online(signers)
    for role, expires in repo.extend().items():
        click.echo(f"{role} expires on {expires:%Y-%m-%d}: one that is good for longer is drafted")
    if pack is not None:
        terms = Terms(number, days, min_engine, max_engine)
        files = pack_files(pack, vectors or vectors_of(pack))
        if with_core:
            core = SIGNATURES / "core"
            files = beside(pack_files(core, vectors_of(core)), files)
        packed = build_archive(files, terms, dt.datetime.now(dt.UTC))
        click.echo(f"{repo.stage(packed)}: {len(packed):,} bytes")
    waiting = repo.sign(signers)
    say_waiting(folder, waiting)
    repo.renew(signers)
    click.echo("snapshot and timestamp are new")
    raise SystemExit(3 if waiting else 0)
