"""From configuration to sinks, on real files."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from davylamp.config import OutputConfig, parse_config
from davylamp.errors import ConfigError
from davylamp.events import StatsEvent
from davylamp.outputs.fanout import FanOut
from davylamp.sinks import sinks_of

EVENT = StatsEvent(
    timestamp="2026-02-03T04:05:06+00:00", packets=1, bytes=2, flows=3, alerts=4, seconds=5.0
)
MEMBER = {"eve": "event_type", "ecs": "@timestamp", "ocsf": "class_uid"}


async def nowhere(line: bytes) -> None:
    """Take a line that nobody wants."""


async def written(config: OutputConfig, place: Path) -> None:
    """Write one event to everything that is configured, and close it."""
    fanout = FanOut(sinks_of(config, place / "spool", nowhere))
    fanout.publish(EVENT)
    await fanout.close()


@pytest.mark.parametrize("form", list(MEMBER))
def test_the_files_format_is_the_configured_one(tmp_path: Path, form: str) -> None:
    """The key outputs.format makes the file's lines EVE, ECS or OCSF."""
    path = tmp_path / "events.json"
    text = f"sandboxes: {{subnets: [10.0.0.0/8]}}\noutputs: {{file: {path}, format: {form}}}"
    asyncio.run(written(parse_config(text).outputs, tmp_path))
    [line] = path.read_bytes().splitlines()
    assert [name for name, member in MEMBER.items() if member in json.loads(line)] == [form]


def test_standard_output_speaks_it_too(tmp_path: Path) -> None:
    """A program that writes to ``-`` prints lines of the configured format."""
    program = (
        "import asyncio, pathlib, sys\n"
        "from tests.test_sinks import OutputConfig, written\n"
        "config = OutputConfig(file='-', format='ocsf', console=False, redis=False)\n"
        "asyncio.run(written(config, pathlib.Path(sys.argv[1])))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        check=True,
        capture_output=True,
        cwd=Path(__file__).resolve().parents[1],
        env=os.environ | {"PYTHONPATH": "."},
    )
    assert json.loads(done.stdout)["class_uid"] == 0


def test_an_unknown_format_is_refused() -> None:
    """A format that nobody speaks is refused by its path, and the page is named."""
    with pytest.raises(ConfigError, match=r"outputs\.format"):
        parse_config("sandboxes: {subnets: [10.0.0.0/8]}\noutputs: {format: cef}")
