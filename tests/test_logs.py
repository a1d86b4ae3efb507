"""The log, as lines for people and as JSON."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import logging, sys
from davylamp.logs import LogFormat, set_up
set_up(LogFormat(sys.argv[1]))
logger = logging.getLogger("davylamp.test")
logger.info("two\\nlines %s", "\\x1b[2J\\u00fc")
try: 1 / 0
except ZeroDivisionError: logger.exception("it failed")
import subprocess
code = "from davylamp.logs import set_up_as_told as f; f(); import logging; logging.error('child')"
subprocess.run([sys.executable, "-c", code])
"""


def logged(chosen: str) -> str:
    """Return what a program logs, and a child of it that was told nothing."""
    words = [sys.executable, "-c", PROGRAM, chosen]
    return subprocess.run(words, capture_output=True, text=True, check=True).stderr


def test_json_is_one_object_a_line() -> None:
    """Newlines, escape sequences and tracebacks stay inside their object, children's lines too."""
    records = [json.loads(line) for line in logged("json").splitlines()]
    assert [one["level"] for one in records] == ["info", "error", "error"]
    assert [one["message"] for one in records][1:] == ["it failed", "child"]
    assert records[0]["message"] == "two\nlines \x1b[2J\u00fc"
    assert records[0]["logger"] == "davylamp.test"
    assert "ZeroDivisionError" in records[1]["exception"]
    assert "exception" not in records[0]
    assert records[2]["pid"] != records[0]["pid"]


@pytest.mark.parametrize(
    "line", ["davylamp: INFO: two", "ZeroDivisionError", "davylamp: ERROR: child"]
)
def test_text_is_for_people(line: str) -> None:
    """The default is a line with a level, tracebacks below."""
    assert line in logged("text")
