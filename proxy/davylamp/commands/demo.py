"""``davylamp demo``: the main job, in one command, on real packets."""

import os
import sys
import tempfile
from pathlib import Path

import click
import msgspec
from rich.console import Console

from davylamp.demo.report import as_object, show
from davylamp.demo.story import play
from davylamp.errors import ConfigError


@click.command("demo")
@click.option("--json", "as_json", is_flag=True, help="The results as one JSON object on stdout.")
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    help="Keep events, logs and the pool's record in this folder, which must be new or empty.",
)
def command(keep: Path | None, *, as_json: bool) -> None:
    """See a miner stopped and named, in a private lab of network namespaces.

    Exit status: 0 only if everything was blocked, attributed, tagged, and honest work passed;
    1 if not; 2 if the lab or gateway could not run.
    """
    narrator = Console(stderr=True)

    def say(text: str) -> None:
        narrator.print(f"[dim]davylamp demo:[/dim] {text}", highlight=False, soft_wrap=True)

    if keep is not None and keep.exists() and any(keep.iterdir()):
        raise ConfigError(f"{keep}: there is something in it; give --keep a new or an empty folder")
    with tempfile.TemporaryDirectory(prefix="davylamp-demo-") as temporary:
        work = keep or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        results = play(f"demo-{os.getpid()}", work, say)
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(as_object(results)) + b"\n")
    else:
        show(results, Console())
    sys.exit(0 if results.success else 1)
