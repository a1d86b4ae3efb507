"""``davylamp scenario``: what an agent may do with the network, played in a lab and judged."""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

from davylamp.commands._group import Group
from davylamp.errors import ConfigError
from davylamp.scenarios.compose import IMAGE_VARIABLE, ComposeStage, compose_program
from davylamp.scenarios.model import Result, Scenario
from davylamp.scenarios.namespaces import namespace_stage
from davylamp.scenarios.play import play
from davylamp.scenarios.stage import Stage
from davylamp.scenarios.table import SCENARIOS, named

_json_option = click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")


@click.group("scenario", cls=Group)
def command() -> None:
    """Play what an agent may do with the network, and judge what came of it."""


@command.command("list")
@_json_option
def list_scenarios(*, as_json: bool) -> None:
    """List the scenarios, and what must come of each."""
    if as_json:
        click.echo(msgspec.json.encode([_described(each) for each in SCENARIOS]))
        return
    table = Table("scenario", "what is done", "must be", "category", "dialect", "inside")
    for each in SCENARIOS:
        table.add_row(each.name, each.title, each.fate, each.category, each.dialect, each.layer)
    Console().print(table)


@command.command("run")
@click.argument("names", nargs=-1, required=True, metavar="NAME...|all")
@click.option(
    "--in",
    "where",
    type=click.Choice(["lab", "compose"]),
    default="lab",
    show_default=True,
    help="A lab of network namespaces made for it, or the one of docker-compose.yml, which is up.",
)
@click.option("--every", type=float, help="Play on, once in so many seconds, until stopped.")
@_json_option
@click.pass_context
def run(
    ctx: click.Context, names: tuple[str, ...], where: str, every: float | None, *, as_json: bool
) -> None:
    """Play scenarios; exit status 0 if all came as expected, 1 if not, 2 if it could not be."""
    chosen = SCENARIOS if names == ("all",) else tuple(named(name) for name in names)
    if where == "compose" and IMAGE_VARIABLE not in os.environ:
        _become_compose(names, as_json=as_json)
    if every is not None and where == "lab":
        raise ConfigError("--every is for the lab of docker-compose.yml: add --in compose")
    # As a container's first process a TERM would end nothing; so it takes the sandboxes down.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    good = True
    with _stage(where, chosen) as stage:
        while True:
            begun = time.monotonic()
            results = [_played(each, stage, as_json=as_json) for each in chosen]
            good = good and all(result.good for result in results)
            if every is None:
                break
            time.sleep(max(0.0, begun + every - time.monotonic()))
    ctx.exit(0 if good else 1)


@contextmanager
def _stage(where: str, chosen: Sequence[Scenario]) -> Iterator[Stage]:
    if where == "compose":
        with ComposeStage() as stage:
            yield stage
        return
    sandboxes = sum(len(scenario.rollouts) for scenario in chosen)
    with (
        tempfile.TemporaryDirectory(prefix="davylamp-scenario-") as folder,
        namespace_stage(f"scenario-{os.getpid()}", Path(folder), sandboxes) as made,
    ):
        yield made


def _played(scenario: Scenario, stage: Stage, *, as_json: bool) -> Result:
    narrator = Console(stderr=True)
    result = play(
        scenario,
        stage,
        lambda text: narrator.print(text, style="dim", highlight=False, markup=False),
    )
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(_told(result)) + b"\n")
        sys.stdout.buffer.flush()
        return result
    for check in result.checks:
        mark = "ok  " if check.good else "FAIL"
        click.echo(f"  {mark} {check.what}: {check.seen}")
    told = "as expected" if result.good else "NOT as expected"
    click.echo(f"{scenario.name}: {told}, in {result.seconds:.1f} s")
    return result


def _become_compose(names: Sequence[str], *, as_json: bool) -> None:
    """Go on in the lab's container for this, in place of this process."""
    words = compose_program()
    if words is None:
        raise ConfigError("there is no docker compose here: install docker-compose")
    argv = [*words, "run", "--rm", "scenario", *(["--json"] if as_json else []), *names]
    os.execv(argv[0], argv)  # noqa: S606 - that is the command


def _described(scenario: Scenario) -> dict[str, Any]:
    return {
        "name": scenario.name,
        "title": scenario.title,
        "expect": scenario.fate,
        "category": scenario.category,
        "dialect": scenario.dialect,
        "layer": scenario.layer,
        "rollouts": len(scenario.rollouts),
        "recurs": scenario.recurs,
    }


def _told(result: Result) -> dict[str, Any]:
    return {
        "scenario": result.scenario.name,
        "good": result.good,
        "experiment_id": result.experiment_id,
        "incidents": result.incidents,
        "seconds": round(result.seconds, 3),
        "checks": [
            {"what": each.what, "good": each.good, "seen": each.seen} for each in result.checks
        ],
    }
