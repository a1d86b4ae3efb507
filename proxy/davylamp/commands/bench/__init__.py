"""``davylamp bench``: what the gateway costs here; ``bench accuracy``: what it tells."""

import sys
import tempfile
from pathlib import Path

import click
import msgspec
from rich.console import Console

from davylamp.bench.course import run
from davylamp.bench.measure import Plan
from davylamp.bench.report import as_json, show
from davylamp.commands._group import Group
from davylamp.commands.bench.accuracy import accuracy

_NORMAL = Plan(seconds=5, rounds=3)
_SHORT = Plan(seconds=1, rounds=3)


@click.group("bench", cls=Group, invoke_without_command=True)
@click.option("--seconds", type=click.IntRange(1, 600), default=_NORMAL.seconds, show_default=True)
@click.option("--rounds", type=click.IntRange(1, 1000), default=_NORMAL.rounds, show_default=True)
@click.option("--workers", type=click.IntRange(1, 64), help="Queue workers of the gateway.")
@click.option("--short", is_flag=True, help="A run of half a minute: 3 rounds of 1 second.")
@click.option("--own-tools", is_flag=True, help="Use neither iperf3 nor wrk, though installed.")
@click.option("--check", is_flag=True, help="Exit with status 1 when a target is missed.")
@click.option("--json", "as_object", is_flag=True, help="The figures as one JSON object on stdout.")
@click.pass_context
def command(  # noqa: PLR0913 - one parameter an option
    ctx: click.Context,
    *,
    seconds: int,
    rounds: int,
    workers: int | None,
    short: bool,
    own_tools: bool,
    check: bool,
    as_object: bool,
) -> None:
    """Measure plain forwarding and the gateway in turns, in a private lab; print both.

    Bulk both ways, new connections, and how long a first request waits: SECONDS of each, each way,
    in each of ROUNDS rounds. Exit status 0: it ran. 2: it could not.
    """
    if ctx.invoked_subcommand is not None:
        return
    narrator = Console(stderr=True)

    def say(text: str) -> None:
        narrator.print(f"[dim]davylamp bench:[/dim] {text}", highlight=False)

    plan = Plan(_SHORT.seconds, _SHORT.rounds, workers) if short else Plan(seconds, rounds, workers)
    with tempfile.TemporaryDirectory(prefix="davylamp-bench-") as work:
        report = run(plan, Path(work), say, own_tools=own_tools)
    if as_object:
        sys.stdout.buffer.write(msgspec.json.encode(as_json(report)) + b"\n")
    else:
        show(report, Console())
    sys.exit(1 if check and not report.met else 0)


command.add_command(accuracy)
