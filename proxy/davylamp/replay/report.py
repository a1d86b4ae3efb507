"""What a replay says: alerts as they come, faults, and the sum of it all.

Two reports over the same calls: JSON lines for programs, text for people. Text from the wire is
made printable first: an excerpt must not be able to talk to the terminal.
"""

import sys
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field

import click
from rich.console import Console
from rich.text import Text

from davylamp.events import AlertEvent, StatsEvent, encode, rfc3339
from davylamp.replay.onefile import Done
from davylamp.replay.progress import Progress
from davylamp.wording import endpoint

_EXCERPT = 160  # characters of evidence in a person's report; the JSON has all of it
_SEVERITY_STYLES = {1: "bold red", 2: "red", 3: "yellow"}


@dataclass(slots=True)
class Totals:
    """The sum over all files."""

    files: int = 0
    faulty: int = 0
    packets: int = 0
    bytes: int = 0
    flows: int = 0
    alerts: int = 0
    skipped: int = 0
    fragments: int = 0
    signatures: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Alerts by (dialect or category, signature id)."""

    def add_alert(self, alert: AlertEvent) -> None:
        """Count one alert."""
        self.alerts += 1
        kind = alert.mining.dialect if alert.mining else alert.alert.category
        self.signatures[kind, alert.alert.signature_id] += 1

    def add_file(self, done: Done) -> None:
        """Count one file that is read."""
        self.files += 1
        self.faulty += bool(done.error)
        self.packets += done.packets
        self.bytes += done.bytes
        self.flows += done.flows
        self.skipped += done.skipped
        self.fragments += done.fragments


class Report(ABC):
    """Takes what a replay yields and tells it; faults go to standard error at once."""

    def __init__(self, progress: Progress) -> None:
        self.totals = Totals()
        self._progress = progress

    def alert(self, alert: AlertEvent) -> None:
        """Tell one alert."""
        self.totals.add_alert(alert)
        self.tell(alert)

    def file_done(self, done: Done) -> None:
        """Take in one file's end, and tell its fault if it has one."""
        self.totals.add_file(done)
        if done.error:
            with self._progress.hidden(sys.stderr):
                click.echo(f"davylamp: {printable(done.error)}", err=True)

    @abstractmethod
    def tell(self, alert: AlertEvent) -> None:
        """Write one alert to standard output."""

    @abstractmethod
    def summary(self, now: float, seconds: float) -> None:
        """Write the sum of it all; ``now`` is the time of day, ``seconds`` how long it took."""


class JsonReport(Report):
    """EVE JSON lines on standard output, the last one of type ``stats``."""

    def tell(self, alert: AlertEvent) -> None:
        """Write one alert as a line."""
        self._write(alert)

    def summary(self, now: float, seconds: float) -> None:
        """Write the ``stats`` line."""
        totals = self.totals
        stats = StatsEvent(
            timestamp=rfc3339(now),
            packets=totals.packets,
            bytes=totals.bytes,
            flows=totals.flows,
            alerts=totals.alerts,
            seconds=round(seconds, 3),
            counters={
                "files": totals.files,
                "files_faulty": totals.faulty,
                "frames_skipped": totals.skipped,
                "ip_fragments": totals.fragments,
            },
        )
        self._write(stats)

    def _write(self, event: AlertEvent | StatsEvent) -> None:
        with self._progress.hidden(sys.stdout):
            click.echo(encode(event))  # as bytes, and flushed, so that a reader need not wait


class _Output(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the command, which ends quietly; rich would exit by itself."""
        raise BrokenPipeError


class TextReport(Report):
    """A block of a few lines an alert, under its file's name, and a summary to end with."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(progress)
        self._out = _Output(highlight=False, soft_wrap=True)
        self._file = ""

    def tell(self, alert: AlertEvent) -> None:
        """Write one alert as a block, under the name of its file."""
        with self._progress.hidden(sys.stdout):
            if alert.pcap_file != self._file:
                self._file = alert.pcap_file
                self._out.print(Text(printable(self._file), style="bold"))
            for line in alert_lines(alert):
                self._out.print(line)

    def summary(self, now: float, seconds: float) -> None:  # noqa: ARG002 - people have clocks
        """Write a line of sums, the alerts by kind, and what was not read."""
        totals = self.totals
        counts = [
            _count(totals.files, "file"),
            _count(totals.packets, "packet"),
            f"{totals.bytes / 1e6:,.1f} MB",
            _count(totals.flows, "flow"),
        ]
        if self._file:
            self._out.print()
        self._out.print(Text(f"{', '.join(counts)} in {seconds:.1f} s: {self._found()}"))
        for (kind, signature), number in totals.signatures.most_common():
            self._out.print(Text(f"  {number:>6,}  {printable(kind)}  {printable(signature)}"))
        if totals.skipped:
            self._out.print(Text(f"{_count(totals.skipped, 'frame')} without IP skipped"))
        if totals.faulty:
            self._out.print(
                Text(f"{_count(totals.faulty, 'file')} could not be read to the end", "yellow")
            )

    def _found(self) -> str:
        if self.totals.alerts:
            return _count(self.totals.alerts, "alert")
        return "no mining seen in what could be read" if self.totals.faulty else "no mining seen"


def alert_lines(alert: AlertEvent) -> list[Text]:
    """Return an alert as a person reads it: when and who, what and how sure, and the bytes."""
    when = alert.timestamp.replace("T", " ").removesuffix("+00:00")
    flow = (
        f"{endpoint(alert.src_ip, alert.src_port)} -> "
        f"{endpoint(alert.dest_ip, alert.dest_port)} {alert.proto.lower()}"
    )
    head = Text.assemble("  ", (f"{printable(when)}Z", "dim"), "  ", (printable(flow), "bold"))
    what = Text("    ")
    style = _SEVERITY_STYLES.get(alert.alert.severity, "")
    what.append(printable(_what(alert)), style)
    what.append(f"  confidence {alert.alert.confidence} %")
    signature = f"  {alert.alert.signature_id} rev {alert.alert.rev}: {alert.alert.signature}"
    what.append(printable(signature), "dim")
    lines = [head, what]
    for evidence in alert.evidence:
        excerpt = printable(evidence.excerpt)
        if len(excerpt) > _EXCERPT:
            excerpt = excerpt[: _EXCERPT - 1] + "…"
        where = f"{evidence.direction} at byte {evidence.offset}"
        lines.append(Text.assemble("    ", (f"{printable(where)}: ", "dim"), excerpt))
    return lines


def printable(text: str) -> str:
    """Return the text with everything that is not plain to see written as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _what(alert: AlertEvent) -> str:
    mining = alert.mining
    if mining is None:
        return alert.alert.category
    parts = [mining.dialect]
    if mining.coin:
        parts.append(f"({mining.coin})")
    if mining.role:
        parts.append(f"by {mining.role}")
    if mining.layers:
        parts.append("in " + "/".join(mining.layers))
    return " ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
