"""The report told: to a person, to a program, and to a page of the documentation."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from davylamp.accuracy.figures import Report, Share
from davylamp.accuracy.tables import tables
from davylamp.errors import ConfigError

BEGIN = "<!-- accuracy: begin (make accuracy writes what follows) -->"
END = "<!-- accuracy: end -->"


def show(report: Report, console: Console) -> None:
    """Print every table."""
    for table in tables(report):
        drawn = RichTable(
            title=Text(table.title, "bold"),
            title_justify="left",
            box=None,
            pad_edge=False,
            header_style="bold",
        )
        for number, heading in enumerate(table.headings):
            drawn.add_column(
                heading.rstrip(), justify="right" if number else "left", no_wrap=not number
            )
        for row in table.rows:
            drawn.add_row(*(Text(cell) for cell in row))
        console.print(drawn)
        for note in table.notes:
            console.print(Text(note, "dim"))
        console.print()
    for line in _ends(report):
        console.print(Text(line, "dim"))


def as_markdown(report: Report) -> str:
    """Return every table as Markdown."""
    lines: list[str] = []
    for table in tables(report):
        lines += [f"### {table.title}", ""]
        lines.append(_line(table.headings))
        lines.append(_line(("---", *("---:" for _ in table.headings[1:]))))
        lines += [_line(row) for row in table.rows]
        for note in table.notes:
            lines += ["", note]
        lines.append("")
    return "\n".join([*lines, *_ends(report), ""])


def write_into(page: Path, text: str) -> None:
    """Put text between the markers of a page; raise ConfigError where it has none."""
    try:
        before, rest = page.read_text().split(BEGIN)
        _, after = rest.split(END)
    except OSError as error:
        raise ConfigError(f"{page}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ConfigError(
            f"{page}: write {BEGIN!r} and {END!r} once each, in this order"
        ) from error
    page.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def as_json(report: Report) -> dict[str, object]:
    """Return the counts themselves: what was tried, told and blocked, cell by cell."""
    tally = report.tally
    return {
        "pack": report.pack,
        "machine": report.machine,
        "notes": list(report.notes),
        "recall": [
            {
                **cell._asdict(),
                "tried": tried,
                "told": tally.told[cell],
                "blocked": tally.blocked[cell],
            }
            for cell, tried in tally.tried.items()
        ],
        "bytes_to_verdict": {
            layer: [delay._asdict() for delay in delays] for layer, delays in tally.delays.items()
        },
        "false_alarms": [
            {
                "source": one.source,
                "flows": one.flows,
                "alarms": one.alarmed,
                "per_million": one.per_million,
                "upper_95": one.upper if one.sampled else None,
            }
            for one in report.false_alarms
        ],
        "alarms": list(tally.alarms),
        "calibration": [
            {
                "kind": row.kind.value,
                "confidence": row.confidence.value,
                "signatures": row.signatures,
                "mining": row.mining,
                "others": row.others,
                "near_recorded": row.near,
                "near_written": row.written,
                "borne_out": row.borne_out,
            }
            for row in report.calibration
        ],
        "captures": {label.value: list(files) for label, files in report.captures.items()},
        "mining_files": _share(report.mining_files),
        "cost": report.cost,
        "shortfalls": list(report.shortfalls()),
    }


def _share(share: Share) -> dict[str, int]:
    return {"told": share.count, "of": share.of}


def _ends(report: Report) -> Iterator[str]:
    yield f"Signatures: {report.pack}."
    yield from report.notes


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.strip().replace("|", "\\|") for cell in cells) + " |"
