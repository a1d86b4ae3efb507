"""The figures as tables, for whatever shows them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from statistics import median_low

from davylamp.accuracy.crossing import Delay
from davylamp.accuracy.delivery import Delivery
from davylamp.accuracy.figures import FalseAlarms, Report, Share, Where
from davylamp.accuracy.forms import Form
from davylamp.accuracy.layers import BARE, LAYERS

_DIALECTS_NOTE = (
    "A message is sent as a whole conversation. Where not all of a dialect's messages block alone, "
    "the others are weak or doubtful, and alert."
)
_LAYERS_NOTE = (
    "'Verdict at' is the byte of the direction's stream at which the alert was raised; 'bytes "
    "behind' counts from the byte that completed the first message. Both are median / worst, of "
    "messages fed byte by byte."
)
_FORMS_NOTE = (
    "A message known only by its method's name is not expected to be told under another; the last "
    "row says how many are all the same."
)
_ALARMS_NOTE = (
    "'Under' is the end of the 95 % interval where none was seen (rule of three). Near misses are "
    "chosen to be mistaken, and variants of each other, so that a rate of them would mean nothing."
)
_CALIBRATION_NOTE = (
    "Flows that hold such a finding, of all in that column; mining flows are those of the captures "
    "of mining in which anything was told. What captures bear out is the lower end of the 95 % "
    "interval of the share of mining flows against the upper end of that of others, both equally "
    "likely before. '-': no mining flow of the captures holds one."
)
_CAPTURES_NOTE = (
    "Not every flow in them is mining: there are browsers, name lookups, and connections without "
    "payload."
)


@dataclass(frozen=True, slots=True)
class Table:
    """A title, headings (the first of the names, the others of figures), rows, and notes."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def tables(report: Report) -> Iterator[Table]:
    """Yield every table of a report, the widest question first."""
    yield _dialects(report)
    yield _layers(report)
    yield _forms(report)
    yield _false_alarms(report)
    yield _calibration(report)
    if report.mining:
        yield _captures(report)
    yield _cost(report)


def percent(share: Share) -> str:
    """Return a share as text; never rounded up to 100 %."""
    if not share.of:
        return "-"
    return f"{int(1000 * share.count / share.of) / 10:g} %"


def _dialects(report: Report) -> Table:
    return Table(
        "Recall by dialect",
        ("dialect", "messages", "as it is", "in every form", "and every layer", "blocks alone"),
        tuple(
            _dialect(report, dialect)
            for dialect in sorted({cell.dialect for cell in report.tally.tried})
        ),
        (_DIALECTS_NOTE,),
    )


def _dialect(report: Report, dialect: str) -> tuple[str, ...]:
    plain = Where(dialect=dialect, layer=BARE.name, way=Delivery.WHOLE)
    messages = report.recall(plain)
    return (
        dialect,
        f"{messages.of}",
        percent(messages),
        percent(report.recall(Where(dialect=dialect, layer=BARE.name))),
        percent(report.recall(Where(dialect=dialect))),
        percent(report.blocked(plain)),
    )


def _layers(report: Report) -> Table:
    return Table(
        "Recall by layer",
        ("layer", "conversations", "told", "verdict at", "bytes behind the message"),
        tuple(_layer(report, layer.name) for layer in LAYERS),
        (_LAYERS_NOTE,),
    )


def _layer(report: Report, name: str) -> tuple[str, ...]:
    share = report.recall(Where(layer=name))
    delays = report.tally.delays.get(name, [])
    return (
        name,
        f"{share.of:,}",
        percent(share),
        _middle_and_worst(delays, lambda delay: delay.at),
        _middle_and_worst(delays, lambda delay: delay.behind),
    )


def _middle_and_worst(delays: list[Delay], of: Callable[[Delay], int]) -> str:
    if not delays:
        return "-"
    values = [of(delay) for delay in delays]
    return f"{median_low(values):,} / {max(values):,}"


def _forms(report: Report) -> Table:
    rows = [
        _form(report, f"{way}, known by shape" if way == Form.RENAMED else way, Where(way=way))
        for way in dict.fromkeys(cell.way for cell in report.tally.tried)
    ]
    by_name = Where(way=Form.RENAMED, known_by_name=True)
    rows.append(_form(report, f"{Form.RENAMED}, known by name", by_name))
    return Table(
        "Recall by obfuscation",
        ("message", "on TCP", "told", "in any layer", "told"),
        tuple(rows),
        (_FORMS_NOTE,),
    )


def _form(report: Report, title: str, where: Where) -> tuple[str, ...]:
    everywhere = report.recall(where)
    bare = report.recall(replace(where, layer=BARE.name))
    return title, f"{bare.of:,}", percent(bare), f"{everywhere.of:,}", percent(everywhere)


def _false_alarms(report: Report) -> Table:
    others: dict[str, int] = {}
    for file in report.others:
        for signature in file.others:
            others[signature] = others.get(signature, 0) + 1
    notes = [f"Alerts of other kinds in the captures: {_counts(others)}."] if others else []
    return Table(
        "False alarms",
        ("traffic", "flows", "false alarms", "per million flows"),
        tuple(
            (one.source, f"{one.flows:,}", f"{one.alarmed:,}", _rate(one))
            for one in report.false_alarms
        ),
        (*notes, _ALARMS_NOTE),
    )


def _rate(alarms: FalseAlarms) -> str:
    if not alarms.sampled:
        return "-"
    if alarms.upper is None:
        return f"{alarms.per_million:,.0f}"
    return f"0, under {alarms.upper:,.0f}"


def _calibration(report: Report) -> Table:
    return Table(
        "What findings are worth",
        (
            "kind",
            "confidence",
            "signatures",
            "in mining flows",
            "in other flows",
            "in near misses, recorded",
            "written",
            "borne out at least",
        ),
        tuple(
            (
                row.kind.value,
                row.confidence.value,
                f"{row.signatures}",
                *(f"{f.met:,} / {f.of:,}" for f in (row.mining, row.others, row.near, row.written)),
                "-" if row.borne_out is None else f"{int(row.borne_out)}",
            )
            for row in report.calibration
        ),
        (_CALIBRATION_NOTE,),
    )


def _captures(report: Report) -> Table:
    files = report.mining_files
    return Table(
        "Captures of mining",
        ("file", "flows", "flows told", "dialects"),
        tuple(
            (one.name, f"{one.flows}", f"{one.told}", ", ".join(one.dialects) or "none")
            for one in report.mining
        ),
        (f"{files.count} of {files.of} files told. {_CAPTURES_NOTE}",),
    )


def _cost(report: Report) -> Table:
    cost = report.cost
    return Table(
        "What a benign flow costs the inspector",
        ("flows", "number", "bytes read of each", "µs a flow"),
        (
            (
                cost.source,
                f"{cost.flows:,}",
                f"{cost.bytes / max(1, cost.flows):,.0f}",
                f"{cost.microseconds:.1f}",
            ),
        ),
        (f"Mean, fastest of three rounds, on {report.machine}. Another machine differs.",),
    )


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
