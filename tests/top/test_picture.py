"""What ``davylamp top`` draws of what it is told, on terminals of any size."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from davylamp.api.client import client_of
from davylamp.api.model import (
    FlowPage,
    FlowRecord,
    Health,
    LineageHealth,
    PackBrief,
    RedisHealth,
    RulesHealth,
    Stats,
    WorkerHealth,
)
from davylamp.errors import ConfigError
from davylamp.events import LineageInfo
from davylamp.tls import verifying
from davylamp.top.asking import Look, QueueView, queues_of
from davylamp.top.picture import picture

HOSTILE = "\x1b]0;owned\x07[bold]\x1b[2J\u202e\r\n[/]x"


def look(flows: int = 1) -> Look:
    """Return a look at a gateway whose sandboxes choose names badly."""
    record = FlowRecord(
        flow_id=1,
        community_id="1:x",
        at="2026-02-03T04:05:06+00:00",
        opened="2026-02-03T04:05:05+00:00",
        src_ip="10.0.0.2",
        src_port=1,
        dest_ip="203.0.113.9",
        dest_port=443,
        proto="TCP",
        action="reject",
        what="a login",
        name=HOSTILE,
        lineage=LineageInfo(grade="bound", container=HOSTILE, tool=HOSTILE),
    )
    health = Health(
        ok=False,
        version="1",
        at="",
        uptime_seconds=90000.0,
        workers=(WorkerHealth(name="queue-40", alive=False, ready=True, restarts=3),),
        lineage=LineageHealth(connected=True, addresses=2, reloads=1, confirmed_seconds=0.5),
        redis=RedisHealth(url="unix:///x", answers=True),
        sources=(),
        rules=RulesHealth(table="t", mode="enforce", exception_policy="fail-open", age_seconds=61),
        pack=PackBrief(name="core", version="7", signatures=90),
        problems=(f"queue-40 is not running {HOSTILE}",),
    )
    stats = Stats(
        at="",
        packets=0,
        bytes=0,
        flows=0,
        cleared=0,
        verdicts=(),
        workers=(),
        series_seconds=1.0,
        series=(),
    )
    page = FlowPage(flows=(record,) * flows, kept=flows)
    queue = QueueView(waiting=4242, limit=8192, dropped=17)
    return Look(health=health, stats=stats, flows=page, queues={"40": queue})


def drawn(seen: Look, width: int, height: int) -> str:
    """Return what a terminal of that size would be sent, colours left out."""
    out = io.StringIO()
    Console(file=out, width=width, height=height).print(picture(seen, height))
    return out.getvalue()


def test_names_cannot_write_on_the_screen() -> None:
    """No name moves the cursor, ends a line, or is taken for markup."""
    text = drawn(look(), 160, 40)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[bold]" in text
    assert "4242" in text
    assert "1 d" in text
    assert "queue-40 is not running" in text


@pytest.mark.parametrize(("width", "height"), [(1, 1), (20, 5), (80, 24), (300, 100)])
def test_it_fits_where_it_can(width: int, height: int) -> None:
    """Any size is drawn; of a thousand flows as many as there are lines for."""
    text = drawn(look(flows=1000), width, height)
    assert text
    if width >= 80:
        assert len(text.splitlines()) <= height


def test_queues_are_read_from_the_exposition() -> None:
    """Both ways of having no room are added up; nonsense is an error that says so."""
    text = (
        'davylamp_queue_waiting_packets{queue="40"} 3\n'
        'davylamp_queue_dropped_packets_total{full="queue",queue="40"} 4\n'
        'davylamp_queue_dropped_packets_total{full="buffer",queue="40"} 5\n'
    )
    assert queues_of(text) == {"40": QueueView(waiting=3, limit=0, dropped=9)}
    with pytest.raises(ConfigError, match="cannot be read"):
        queues_of("x{ 1")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "127.0.0.1:9465", "http://", "http://h:x"])
def test_only_http_is_asked(url: str, tmp_path: Path) -> None:
    """A URL that is none is refused before a token is read."""
    with pytest.raises(ConfigError, match="--url"):
        client_of(url, None, verifying(), {"DAVYLAMP_API_TOKEN": "t"}, tmp_path)
