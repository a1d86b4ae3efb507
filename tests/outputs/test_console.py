"""Events as lines for a person."""

import asyncio
import io
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from davylamp.events import (
    Action,
    ActionEvent,
    ActionInfo,
    AlertEvent,
    AnyEvent,
    CandidateInfo,
    LineageEvent,
    LineageInfo,
    StatsEvent,
    TlsEvent,
    VerdictInfo,
)
from davylamp.outputs.console import ConsoleSink, one_line

MakeAlert = Callable[..., AlertEvent]


def printed(event: AnyEvent, *, terminal: bool = False) -> str:
    """Return what the sink prints."""
    out = io.StringIO()
    console = Console(
        file=out, force_terminal=terminal, width=40, color_system="standard" if terminal else "auto"
    )
    asyncio.run(ConsoleSink(console).write(event))
    return out.getvalue()


def test_alert_says_what_and_who(make_alert: MakeAlert) -> None:
    """An alert is one line, however long: verdict, endpoints, signature, coin, and who."""
    assert printed(make_alert()) == (
        "04:05:06Z reject  10.0.0.2:40000 > [2001:db8::5]:443 CryptoNote login (cryptonote XMR)"
        "  sandbox-2 run r1 rollout 7 tool call tc-9 (bash) [bound]  cryptonote-login\n"
    )


def test_colour_only_on_a_terminal(make_alert: MakeAlert) -> None:
    """A file gets no escape sequence; a terminal gets red for what was stopped."""
    assert "\x1b" not in printed(make_alert())
    assert "\x1b[1;31mreject" in printed(make_alert(), terminal=True)
    passed = make_alert(verdict=VerdictInfo(action=Action.PASS))
    assert "\x1b[32mpass" in printed(passed, terminal=True)


def test_unsure_lineage_says_so(make_alert: MakeAlert) -> None:
    """Where several tool calls ran none is named, and where nobody is known that is said."""
    several = LineageInfo(
        grade="observed",
        container="sandbox-1",
        candidates=(CandidateInfo(tool_call_id="a"), CandidateInfo(tool_call_id="b")),
    )
    assert "sandbox-1 one of 2 tool calls [observed]" in printed(make_alert(lineage=several))
    nobody = LineageInfo(grade="unknown")
    assert "unknown container [unknown]" in printed(make_alert(lineage=nobody))


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            LineageEvent(
                timestamp="2026-02-03T04:05:06+00:00",
                change="bound",
                ip="10.0.0.2",
                lineage=LineageInfo(grade="bound", container="sandbox-2", step=0),
            ),
            "04:05:06Z lineage bound 10.0.0.2 sandbox-2 step 0 [bound]\n",
        ),
        (
            StatsEvent(
                timestamp="2026-02-03T04:05:06+00:00",
                packets=5,
                bytes=900,
                flows=2,
                alerts=1,
                seconds=1.25,
            ),
            "04:05:06Z stats   5 packets, 900 bytes, 2 flows, 1 alerts in 1.2 s\n",
        ),
        (
            TlsEvent(
                timestamp="2026-02-03T04:05:06+00:00",
                flow_id=1,
                flow_start="2026-02-03T04:05:05+00:00",
                community_id="1:x",
                src_ip="10.0.0.2",
                src_port=4000,
                dest_ip="2001:db8::1",
                dest_port=443,
                proto="TCP",
                refusal="alert unknown_ca",
            ),
            (
                "04:05:06Z refused 10.0.0.2:4000 > [2001:db8::1]:443 "
                "would not have our certificate: alert unknown_ca\n"
            ),
        ),
        (
            ActionEvent(
                timestamp="2026-02-03T04:05:06+00:00",
                incident_id="inc-1",
                action=ActionInfo(
                    kind="docker-pause", status="done", target="c1", outcome="paused"
                ),
                lineage=LineageInfo(grade="bound", container="sandbox-2"),
            ),
            "04:05:06Z action  docker-pause done: paused sandbox-2 [bound]\n",
        ),
    ],
)
def test_other_events(event: AnyEvent, expected: str) -> None:
    """Lineage changes and counters are a line too."""
    assert printed(event) == expected


@settings(max_examples=200, deadline=None)
@given(name=st.text(max_size=40))
def test_hostile_names_cannot_drive_the_terminal(name: str) -> None:
    """Whatever a container or a change is called, one printable line comes out."""
    event = LineageEvent(
        timestamp=name, change=name, ip=name, lineage=LineageInfo(grade=name, container=name)
    )
    assert one_line(event).plain.isprintable()
    assert printed(event).count("\n") == 1


def test_escape_sequences_and_markup_are_text(make_alert: MakeAlert) -> None:
    """Escapes, bidirectional overrides and rich's own markup are shown, not obeyed."""
    lineage = LineageInfo(grade="bound", container="\x1b[2J\u202e[red]x[/red]\r\n")
    line = printed(make_alert(lineage=lineage))
    assert "\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}[red]x[/red]" in line
    assert line.count("\n") == 1
