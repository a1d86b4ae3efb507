"""The report counts right, says what fell short, and finds its place in a page."""

from collections import Counter
from dataclasses import replace
from io import StringIO
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from davylamp.accuracy.corpora import FileFigures, Label, parse_corpus, reference_corpora
from davylamp.accuracy.cost import Cost
from davylamp.accuracy.crossing import Alarm, Cell, Delay, Tally
from davylamp.accuracy.figures import FalseAlarms, Report, Share, Where
from davylamp.accuracy.forms import Form
from davylamp.accuracy.show import BEGIN, END, as_json, as_markdown, show, write_into
from davylamp.accuracy.tables import percent
from davylamp.errors import ConfigError
from davylamp.signatures.model import SignatureId

PLAIN = Cell("stratum-v1", "TCP", "whole", by_shape=False)
SOCKS = PLAIN._replace(layer="SOCKS5")
BY_NAME = PLAIN._replace(way=Form.RENAMED.value)
BY_SHAPE = BY_NAME._replace(by_shape=True)
FILE = FileFigures("a.pcap", 10, 4, 2, ("stratum-v1",), ("stratum-v1-ping",) * 2, ("other",))


def a_report() -> Report:
    """Return a run in which everything was told that had to be."""
    return Report(
        pack="core 1",
        tally=Tally(
            tried=Counter({PLAIN: 4, SOCKS: 2, BY_NAME: 4, BY_SHAPE: 1}),
            told=Counter({PLAIN: 4, SOCKS: 2, BY_NAME: 1, BY_SHAPE: 1}),
            blocked=Counter({PLAIN: 3}),
            delays={"TCP": [Delay(40, 0), Delay(50, 1), Delay(90, 7)]},
            benign=100,
        ),
        captures={
            Label.MINING: (FILE,),
            Label.BENIGN: (replace(FILE, told=0, signatures=()),),
            Label.NEAR: (),
        },
        calibration=(),
        cost=Cost("flows", 10, 5000, 12.345),
        machine="this one",
    )


def test_a_run_without_fault_has_no_shortfall() -> None:
    """A message known by its name alone need not be told under another."""
    assert list(a_report().shortfalls()) == []


def test_each_fault_is_named() -> None:
    """A missed layer and form, an alarm of either kind, and a capture not told: each says what."""
    report = a_report()
    report.tally.told[SOCKS] = 1
    report.tally.told[BY_SHAPE] = 0
    report.tally.missed += [("subscribe: five", SOCKS), ("job: one", BY_SHAPE), ("ok", BY_NAME)]
    report.tally.alarms.append(
        Alarm("lsp: open", "WebSocket", "CRLF", SignatureId("stratum-v1-ping"))
    )
    silent = replace(FILE, name="b.pcap", told=0)
    captures = {Label.MINING: (silent,), Label.BENIGN: (FILE,), Label.NEAR: (FILE,)}
    twice = "stratum-v1-ping+stratum-v1-ping"
    said = list(replace(report, captures=captures).shortfalls())
    assert said == [
        "4 of 5 told in 'TCP'; not told: job: one",
        "1 of 2 told in 'SOCKS5'; not told: subscribe: five",
        "0 of 1 told where 'method renamed'; not told: job: one",
        "1 false alarms on near misses, written: stratum-v1-ping on 'lsp: open' (WebSocket, CRLF)",
        f"2 false alarms on near misses, recorded of programs: {twice} in a.pcap",
        f"2 false alarms on captures of other traffic: {twice} in a.pcap",
        "no mining told in b.pcap",
    ]


def test_shares_are_never_rounded_up() -> None:
    """One miss in many thousands is not a hundred per cent."""
    assert percent(Share(99_999, 100_000)) == "99.9 %"
    assert percent(Share(3, 3)) == "100 %"
    assert percent(Share(0, 0)) == "-"


def test_where_nothing_was_seen_the_rule_of_three_holds() -> None:
    """None in n gives under 3/n; one that was seen gives the rate alone."""
    none = FalseAlarms("x", 3_000, 0, sampled=True)
    assert none.upper == 1_000
    assert replace(none, alarmed=3).upper is None
    assert replace(none, alarmed=3).per_million == 1_000


def test_recall_counts_the_trials_that_are_meant() -> None:
    """Filters join, and the messages known by name alone are counted by themselves."""
    report = a_report()
    assert report.recall(Where()) == Share(7, 7)
    assert report.recall(Where(layer="TCP")) == Share(5, 5)
    assert report.recall(Where(way=Form.RENAMED, known_by_name=True)) == Share(1, 4)
    assert report.blocked(Where(layer="TCP", way="whole")) == Share(3, 4)
    assert report.recall(Where(dialect="cryptonote")) == Share(0, 0)


def test_every_figure_is_shown_to_people() -> None:
    """The tables hold recall, delays, false alarms with their bound, captures and the cost."""
    out = StringIO()
    show(a_report(), Console(file=out, width=120))
    text = out.getvalue()
    for figure in (
        "100 %",
        "75 %",
        "50 / 90",
        "1 / 7",
        "0, under 750,000",
        "12.3",
        "a.pcap",
        "25 %",
    ):
        assert figure in text
    page = as_markdown(a_report())
    for figure in ("| stratum-v1 | 4 | 100 % |", "| 50 / 90 | 1 / 7 |", "| 0, under 750,000 |"):
        assert figure in page


def test_every_count_is_given_to_programs() -> None:
    """The JSON object holds the counts cell by cell, and the shortfalls."""
    tree = msgspec.json.decode(msgspec.json.encode(as_json(a_report())))
    told = {(one["layer"], one["way"], one["by_shape"]): one["told"] for one in tree["recall"]}
    assert told["TCP", "whole", False] == 4
    assert tree["false_alarms"][1]["upper_95"] == 750_000
    assert tree["bytes_to_verdict"]["TCP"][2] == {"at": 90, "behind": 7}
    assert tree["captures"]["mining"][0]["name"] == "a.pcap"
    assert tree["shortfalls"] == []


def test_the_page_keeps_what_is_around_the_markers(tmp_path: Path) -> None:
    """Writing twice leaves the second text, once, and the rest of the page."""
    page = tmp_path / "page.md"
    page.write_text(f"before\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    write_into(page, "first")
    write_into(page, "second")
    assert page.read_text() == f"before\n\n{BEGIN}\n\nsecond\n{END}\n\nafter\n"


@pytest.mark.parametrize("text", ["", BEGIN, f"{END} {BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_a_page_without_its_markers_is_left_alone(tmp_path: Path, text: str) -> None:
    """Nothing is written where it is not clear where, and the message says what to write."""
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(ConfigError, match="once each"):
        write_into(page, "x")
    assert page.read_text() == text
    with pytest.raises(ConfigError, match="cannot be read"):
        write_into(tmp_path / "absent.md", "x")


def test_a_corpus_is_a_label_and_a_path(tmp_path: Path) -> None:
    """The label says what a folder holds; a mistake is answered with what to write."""
    assert parse_corpus(f"benign={tmp_path}").path == tmp_path
    for text in ("benign", "evil=/", f"{tmp_path}"):
        with pytest.raises(ConfigError, match="write mining=PATH"):
            parse_corpus(text)
    with pytest.raises(ConfigError, match="no such file"):
        parse_corpus(f"mining={tmp_path / 'absent'}")
    assert reference_corpora(tmp_path) == ()
    (tmp_path / "mining").mkdir()
    assert [one.label for one in reference_corpora(tmp_path)] == [Label.MINING]
