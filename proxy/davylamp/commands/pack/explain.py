"""``davylamp pack explain``: what a signature says, and why a message is none."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from davylamp.commands.pack._ids import no_such
from davylamp.commands.pack._why import condition_of
from davylamp.errors import ConfigError
from davylamp.flow import Direction
from davylamp.paths import SIGNATURES
from davylamp.proving.comparison import COMPARED, Comparison, compare
from davylamp.proving.explanation import filed, outline, where
from davylamp.signatures.disk import load_directory, load_vectors, vectors_of
from davylamp.signatures.model import CombinedCondition, Signature, SignatureId
from davylamp.signatures.pack import Pack
from davylamp.signatures.source import Node
from davylamp.signatures.vectors import Vector

_EPILOG = """\b
Examples:
  davylamp pack explain stratum-v1-submit
  davylamp pack explain toy-hello --pack my-pack --trace trace.pcap   why did this not match?
  echo '{"method": "login"}' | davylamp pack explain cryptonote-login --trace -

\b
FILE is a capture, or the bytes of one side as they were sent. Exit status: 0 it was explained, and
with --trace something in the file fits; 1 nothing in it does; 2 there is no such signature or file.
"""


@click.command("explain", epilog=_EPILOG)
@click.argument("identity", metavar="ID")
@click.option(
    "--pack",
    "path",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=SIGNATURES / "core",
    help="The pack's folder, instead of the core pack.",
)
@click.option(
    "--trace",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True),
    help="Hold the messages in FILE against the signature.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as one JSON object on stdout.")
def command(*, identity: str, path: Path, trace: Path | None, as_json: bool) -> None:
    """Say what the signature ID asks for, where it can match, and how it is found."""
    pack = load_directory(path)
    signature = pack.signatures.get(SignatureId(identity))
    if signature is None:
        raise ConfigError(no_such(identity, pack, "--pack names the folder of another"))
    when = condition_of(path, signature)
    vectors = _vectors(path, signature)
    compared = _compared(trace, when, signature) if trace is not None else ()
    if as_json:
        result = _as_object(pack, signature, when, vectors, compared)
        sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
    else:
        _show(pack, path, signature, when, vectors)
        if trace is not None:
            _show_compared(compared)
    nothing = trace is not None and not any(not one.problems for one in compared)
    sys.exit(1 if nothing else 0)


def _vectors(path: Path, signature: Signature) -> tuple[Vector, ...]:
    folder = vectors_of(path)
    assert signature.place is not None
    file = folder / signature.place.file
    return tuple(vector for _, vector in load_vectors(file)) if file.is_file() else ()


def _compared(trace: Path, when: Node, signature: Signature) -> tuple[Comparison, ...]:
    if isinstance(signature.condition, CombinedCondition):
        raise ConfigError(
            f"{signature.id} is about both sides of a flow; give it an example, and "
            "davylamp pack test says what of it is not met"
        )
    if not isinstance(signature.condition, COMPARED):
        raise ConfigError(
            f"{signature.id} asks for no message, line, first bytes or certificate, which alone "
            "are held against a trace; give it an example, and davylamp pack test runs it"
        )
    found = [
        one for data in _sides(trace, signature) for one in compare(when, signature.condition, data)
    ]
    if not found:
        raise ConfigError(f"{trace}: nothing in it that {signature.id} is about")
    return tuple(found)


def _sides(trace: Path, signature: Signature) -> Iterator[bytes]:
    """Yield the bytes of each side of each flow in a file that may say it."""
    from davylamp.accuracy.cost import flows_of_captures  # noqa: PLC0415 - help needs no captures
    from davylamp.capture.tracefile import is_trace  # noqa: PLC0415 - the same

    if str(trace) == "-":
        yield sys.stdin.buffer.read()
        return
    if not is_trace(trace):
        yield trace.read_bytes()
        return
    asked = getattr(signature.condition, "direction", None)
    for flow in flows_of_captures(trace):
        for side in Direction:
            data = b"".join(data for direction, data in flow if direction is side)
            if data and asked in (None, side):
                yield data


def _show(
    pack: Pack, path: Path, signature: Signature, when: Node, vectors: tuple[Vector, ...]
) -> None:
    click.echo(f"{signature.id} rev {signature.rev}: {signature.title}")
    click.echo(f"  {signature.detail}")
    click.echo(f"  {path / str(signature.place)}")
    coins = f", {'/'.join(signature.coins)}" if signature.coins else ""
    technique = f", {signature.technique}" if signature.technique else ""
    click.echo(f"  {signature.category}{coins}{technique}; said by {signature.role};", nl=False)
    click.echo(f" confidence {signature.confidence}, {signature.maturity}: {_does(signature)}")
    for reference in signature.references:
        click.echo(f"  {reference}")
    click.echo("asks for")
    for line in outline(when, 2):
        click.echo(line)
    click.echo("can match in")
    for line in where(signature.condition):
        click.echo(f"  {line}")
    click.echo("is found by")
    for word, number in filed(pack, signature) or (("nothing: it is off", 1),):
        others = f"  (with {number - 1} others)" if number > 1 else ""
        click.echo(f"  {word}{others}")
    click.echo("vectors")
    for vector in vectors:
        click.echo(f"  {'match' if vector.fires else 'none '}  {vector.name}")
    if not vectors:
        click.echo("  none")


def _does(signature: Signature) -> str:
    match signature.maturity:
        case "sandbox":
            return "off"
        case "incubating":
            return "alerts"
        case _:
            return "may block alone" if signature.confidence >= 80 else "weak, adds to others"


def _show_compared(compared: tuple[Comparison, ...]) -> None:
    click.echo("held against the trace")
    for one in compared:
        click.echo(f"  {'no  ' if one.problems else 'FITS'}  {one.message}")
        for problem in one.problems:
            click.echo(f"        {problem}")


def _as_object(
    pack: Pack,
    signature: Signature,
    when: Node,
    vectors: tuple[Vector, ...],
    compared: tuple[Comparison, ...],
) -> dict[str, object]:
    return {
        "id": signature.id,
        "rev": signature.rev,
        "title": signature.title,
        "detail": signature.detail,
        "place": str(signature.place),
        "maturity": signature.maturity,
        "confidence": signature.confidence,
        "when": "\n".join(outline(when)),
        "where": list(where(signature.condition)),
        "index": [{"path": word, "signatures": number} for word, number in filed(pack, signature)],
        "vectors": [{"name": one.name, "match": one.fires} for one in vectors],
        "trace": [
            {"message": one.message, "fits": not one.problems, "problems": list(one.problems)}
            for one in compared
        ],
    }
