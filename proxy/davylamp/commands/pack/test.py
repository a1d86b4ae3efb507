"""``davylamp pack test``: a pack's vectors through the production engine."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import click
import msgspec

from davylamp.commands.pack._ids import no_such
from davylamp.commands.pack._why import why_not
from davylamp.errors import ConfigError
from davylamp.events import AlertEvent
from davylamp.paths import SIGNATURES
from davylamp.policy import Mode, Policy
from davylamp.proving.cost import Cost, in_turns, mean
from davylamp.proving.ordinary import ordinary_flows
from davylamp.proving.trial import Failure, Outcome, Trial
from davylamp.signatures.disk import load_directory, load_vectors, vectors_of
from davylamp.signatures.model import Category, SignatureId
from davylamp.signatures.pack import Pack
from davylamp.signatures.vectors import Vector

FAILED = 1

_NOT_MINING = frozenset({Category.TUNNEL, Category.RESOLVER, Category.ANOMALY})
"""What ordinary traffic may well be: told, and no fault of a pack."""

_EPILOG = """\b
Examples:
  davylamp pack test my-pack                         vectors in my-pack/vectors
  davylamp pack test my-pack --benign /srv/captures  and nothing may be found in these
  davylamp pack test my-pack --json | jq .failed     for a script

\b
Exit status: 0 all passed; 1 something failed, and standard output says what; 2 the pack, a vector
or a capture cannot be read.
"""


class _Benign(msgspec.Struct, frozen=True):
    """What was found in one file of ordinary traffic."""

    file: str
    found: tuple[str, ...]
    error: str = ""

    @property
    def passed(self) -> bool:
        return not self.found and not self.error


@click.command("test", epilog=_EPILOG)
@click.argument("path", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--vectors",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The folder of the vectors, where it is not PATH/vectors.",
)
@click.option(
    "--benign",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="Captures or vector files in which nothing may be found; may be repeated.",
)
@click.option("--only", metavar="ID", multiple=True, help="Try these signatures only.")
@click.option(
    "--max-ratio",
    type=click.FloatRange(min=1.0),
    help="Fail where a flow costs more than so many times what the core pack makes it cost.",
)
@click.option("--json", "as_json", is_flag=True, help="The result as one JSON object on stdout.")
def command(  # noqa: PLR0913 - one parameter an option
    *,
    path: Path,
    vectors: Path | None,
    benign: tuple[Path, ...],
    only: tuple[str, ...],
    max_ratio: float | None,
    as_json: bool,
) -> None:
    """Run the vectors of the pack in PATH; each signature must have a match and a near miss.

    Every stream is shown to the engine whole, byte by byte and cut at every boundary. Then what a
    flow costs is measured, in turns with the core pack.
    """
    pack, folder = load_directory(path), vectors or vectors_of(path)
    for identity in only:
        if identity not in pack.signatures:
            raise ConfigError(no_such(identity, pack))
    trial = Trial(pack)
    examples = tuple(load_vectors(folder)) if folder.is_dir() else ()
    outcomes = [
        outcome for outcome in trial.outcomes(examples) if not only or outcome.identity in only
    ]
    quiet = [found for root in benign for found in _benign(pack, trial, root)]
    costs = in_turns((_core(), pack), ordinary_flows(), time.perf_counter)
    slow = max_ratio is not None and _ratio(costs) > max_ratio
    failed = slow or any(one.failures for one in outcomes) or not all(one.passed for one in quiet)
    if as_json:
        result = _as_object(pack, path, folder, outcomes, quiet, costs, failed=failed)
        sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
    else:
        _show(pack, path, folder, outcomes, quiet, costs, _reasons(pack, path, examples))
        if slow:
            click.echo(f"  FAILED: more than {max_ratio} times the core pack's cost")
        click.echo("FAILED" if failed else "SUCCESS")
    unreadable = any(one.error for one in quiet)
    sys.exit(2 if unreadable else FAILED if failed else 0)


type _Reasons = Callable[[SignatureId, Failure], Iterator[str]]


def _reasons(pack: Pack, path: Path, examples: Sequence[tuple[SignatureId, Vector]]) -> _Reasons:
    """Return what says of a failure why its example does not match, where it should."""
    known = {vector.place: vector for _, vector in examples}

    def reasons(identity: SignatureId, failure: Failure) -> Iterator[str]:
        signature, vector = pack.signatures.get(identity), known.get(failure.place)
        if signature is not None and vector is not None and vector.fires:
            yield from why_not(path, signature, vector)

    return reasons


def _core() -> Pack:
    return load_directory(SIGNATURES / "core")


def _ratio(costs: Sequence[Cost]) -> float:
    core, own = mean(costs)
    return own / core


def _benign(pack: Pack, trial: Trial, root: Path) -> list[_Benign]:
    """Return what is found in a capture or a folder of captures, and in vector files there."""
    from davylamp.capture.tracefile import find_traces  # noqa: PLC0415 - most runs need none

    found: list[_Benign] = []
    texts = sorted(root.rglob("*.yaml")) if root.is_dir() else [root]
    for file in texts if root.is_dir() or root.suffix == ".yaml" else ():
        failures = [
            f"{one.vector!r} fed {one.fed}: {one.got}"
            for _, vector in load_vectors(file)
            for one in trial.silent(vector)
        ]
        found.append(_Benign(str(file), tuple(failures)))
    if root.is_dir() or root.suffix != ".yaml":
        found += (_replayed(pack, file) for file in find_traces(root) if file.suffix != ".yaml")
    return found


def _replayed(pack: Pack, file: Path) -> _Benign:
    from davylamp.pipeline import Pipeline, Vantage  # noqa: PLC0415 - the same
    from davylamp.replay.onefile import Done, replay_file  # noqa: PLC0415

    make = partial(Pipeline, pack, Policy(mode=Mode.OBSERVE), vantage=Vantage.TRACE)
    found: dict[str, None] = {}
    error = ""
    for message in replay_file(file, make):
        match message:
            case AlertEvent(alert=alert) if alert.category not in _NOT_MINING:
                flow = f"{message.src_ip}:{message.src_port} to {message.dest_ip}"
                found[f"{alert.signature_id} ({flow}:{message.dest_port})"] = None
            case Done(error=said):
                error = said
            case _:
                pass
    return _Benign(str(file), tuple(found), error)


# --- for people ---------------------------------------------------------------------------


def _show(  # noqa: PLR0913, PLR0917 - all there is to show
    pack: Pack,
    path: Path,
    folder: Path,
    outcomes: Sequence[Outcome],
    quiet: Sequence[_Benign],
    costs: Sequence[Cost],
    reasons: _Reasons,
) -> None:
    click.echo(f"Testing {path}: {pack.name} {pack.version}, vectors in {folder}")
    for outcome in outcomes:
        if not outcome.failures:
            ways = f"{outcome.vectors} vectors, fed in {outcome.feedings:,} ways"
            click.echo(f"  SUCCESS: {outcome.identity} ({ways})")
            continue
        click.echo(f"  FAILED: {outcome.identity}")
        for failure in outcome.failures:
            _show_failure(failure, folder if failure.vector else path)
            for line in reasons(outcome.identity, failure):
                click.echo(f"        why: {line}")
    if quiet:
        click.echo("Ordinary traffic, in which nothing may be found:")
    for one in quiet:
        click.echo(f"  {'SUCCESS' if one.passed else 'FAILED'}: {one.file}")
        for line in (*one.found, *([one.error] if one.error else [])):
            click.echo(f"    {line}")
    core, own = mean(costs)
    click.echo(
        f"Cost: {own:.1f} us a flow, {core:.1f} with the core pack ({own / core:.2f} times),"
        f" over {len(costs)} kinds of ordinary flows"
    )


def _show_failure(failure: Failure, root: Path) -> None:
    fed = f", fed {failure.fed}" if failure.fed else ""
    name = f"{failure.vector!r}{fed}" if failure.vector else "its vectors"
    click.echo(f"    {root / str(failure.place)}: {name}")
    click.echo(f"        exp: {failure.expected}")
    click.echo(f"        got: {failure.got}")


# --- for scripts --------------------------------------------------------------------------


def _as_object(  # noqa: PLR0913, PLR0917 - all there is to show
    pack: Pack,
    path: Path,
    folder: Path,
    outcomes: Sequence[Outcome],
    quiet: Sequence[_Benign],
    costs: Sequence[Cost],
    *,
    failed: bool,
) -> dict[str, object]:
    core, own = mean(costs)
    return {
        "pack": {"name": pack.name, "version": pack.version, "path": str(path)},
        "failed": failed,
        "signatures": [
            {
                "id": outcome.identity,
                "vectors": outcome.vectors,
                "feedings": outcome.feedings,
                "failures": [
                    {
                        "place": str((folder if one.vector else path) / str(one.place)),
                        "vector": one.vector,
                        "fed": one.fed,
                        "expected": one.expected,
                        "got": one.got,
                    }
                    for one in outcome.failures
                ],
            }
            for outcome in outcomes
        ],
        "benign": [
            {"file": one.file, "found": list(one.found), "error": one.error} for one in quiet
        ],
        "cost": {
            "microseconds": round(own, 2),
            "core_microseconds": round(core, 2),
            "ratio": round(own / core, 3),
            "flows": {cost.flow: [round(one, 2) for one in cost.microseconds] for cost in costs},
        },
    }
