"""What a person reads of an alert: complete, and unable to steer the terminal."""

import os

import pytest
from tests.alerts import an_alert, signature

from davylamp.events import AlertEvent, EvidenceInfo, MiningInfo
from davylamp.replay.report import alert_lines, printable

HOSTILE = "\x1b]0;owned\x07\r\n[bold]\x85\u202e"

PRINTABLE = [
    ("plain", "[bold] ümlaut", "[bold] ümlaut"),
    ("escape sequence", "\x1b[31m", r"\x1b[31m"),
    ("line end", "a\r\nb", r"a\r\nb"),
    ("C1 control", "\x9b1m", r"\x9b1m"),
    ("right-to-left override", "\u202e", r"\u202e"),
    ("a file name's odd byte", os.fsdecode(b"\xff"), r"\udcff"),
]


@pytest.mark.parametrize(
    ("text", "expected"), [p[1:] for p in PRINTABLE], ids=[p[0] for p in PRINTABLE]
)
def test_printable(text: str, expected: str) -> None:
    """What is not plain to see is written as an escape."""
    assert printable(text) == expected


def alert(text: str) -> AlertEvent:
    """Build an alert with ``text`` wherever text from elsewhere can be."""
    return an_alert(
        timestamp="2026-01-02T03:04:05.000006+00:00",
        src_ip="2001:db8::5",
        dest_ip="203.0.113.9",
        dest_port=443,
        alert=signature("s-1", rev=3, signature=text, confidence=97),
        mining=MiningInfo(dialect="cryptonote", coin=text, role="miner", layers=("tcp", "tls")),
        evidence=(
            EvidenceInfo(
                signature_id="s-1", direction="originator", offset=7, length=9, excerpt=text * 100
            ),
        ),
    )


def test_alert() -> None:
    """A block has when and who, what and how sure, and the bytes cut to a line's length."""
    head, what, evidence = (line.plain for line in alert_lines(alert("T")))
    assert head == "  2026-01-02 03:04:05.000006Z  [2001:db8::5]:40000 -> 203.0.113.9:443 tcp"
    assert what == "    cryptonote (T) by miner in tcp/tls  confidence 97 %  s-1 rev 3: T"
    assert evidence == "    originator at byte 7: " + "T" * 100
    assert len(alert_lines(alert("long text "))[2].plain) < 200


def test_hostile_alert() -> None:
    """No control character, line end or markup of a field takes effect."""
    lines = alert_lines(alert(HOSTILE))
    assert len(lines) == 3
    for line in lines:
        assert line.plain.isprintable()
    assert "[bold]" in lines[1].plain
