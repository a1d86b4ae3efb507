"""``davylamp replay``: the inspection over capture files."""

import os
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click

from davylamp.capture.tracefile import find_traces
from davylamp.events import AlertEvent
from davylamp.paths import SIGNATURES
from davylamp.replay.onefile import Advance, Done
from davylamp.replay.progress import Progress
from davylamp.replay.report import JsonReport, Report, TextReport
from davylamp.replay.workers import Setup, replay_files

BAD_INPUT = 2
ALERTED = 3
INTERRUPTED = 130  # 128 + SIGINT and 128 + SIGPIPE, as a shell tells a program's end by signal
NOBODY_LISTENS = 141

_EPILOG = """\b
Examples:
  davylamp replay trace.pcap                   what a person wants to know
  davylamp replay captures/ --jobs 4 --json    a folder, EVE JSON lines, a stats line last
  davylamp replay --fail-on-alert build.pcap   for a script: exit 3 if anything was seen
  tcpdump -w - | davylamp replay /dev/stdin    as it happens

\b
Exit status: 0 all was read; 2 a file is missing, damaged or no capture (what could be read
was reported); 3 there was an alert and --fail-on-alert was given, whatever else happened.
"""


@click.command("replay", epilog=_EPILOG)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="EVE JSON lines, the last one stats.")
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="How many files to read at once, a process each.",
)
@click.option("--fail-on-alert", is_flag=True, help="Exit 3 if there was any alert.")
@click.option(
    "--signatures",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=SIGNATURES / "core",
    help="The signature pack's folder, instead of the core pack.",
)
@click.pass_context
def command(  # noqa: PLR0913 - click gives each option a parameter
    ctx: click.Context,
    files: tuple[Path, ...],
    *,
    as_json: bool,
    jobs: int,
    fail_on_alert: bool,
    signatures: Path,
) -> None:
    """Run the inspection over capture FILES, observing only.

    Reads pcap and pcapng, gzipped or not; a folder stands for the captures in it. Each file is
    inspected by itself.
    """
    from davylamp.replay.observe import observers  # noqa: PLC0415 - help need not load the core

    paths = [path for named in files for path in find_traces(named)]
    progress = Progress(paths)
    report = JsonReport(progress) if as_json else TextReport(progress)
    try:
        _replay(paths, partial(observers, signatures), jobs, progress, report)
    except KeyboardInterrupt:
        ctx.exit(INTERRUPTED)
    except BrokenPipeError:
        # What is still buffered has nowhere to go, and the interpreter flushes on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        ctx.exit(NOBODY_LISTENS)
    totals = report.totals
    if fail_on_alert and totals.alerts:
        ctx.exit(ALERTED)
    if totals.faulty:
        ctx.exit(BAD_INPUT)


def _replay(
    paths: Sequence[Path], setup: Setup, jobs: int, progress: Progress, report: Report
) -> None:
    began = time.monotonic()
    with progress:
        for index, message in replay_files(paths, setup, jobs):
            match message:
                case AlertEvent():
                    report.alert(message)
                case Advance(consumed):
                    progress.advance(index, consumed)
                case Done():
                    progress.complete(index)
                    report.file_done(message)
    report.summary(time.time(), time.monotonic() - began)
