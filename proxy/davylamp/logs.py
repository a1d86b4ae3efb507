"""The gateway's log on standard error: lines for people, or one JSON object a line.

Workers are processes of their own and write to the same stream; they find the format in the
environment that the gateway leaves them.
"""

import json
import logging
import os
import sys
from enum import StrEnum

from davylamp.events import rfc3339

VARIABLE = "DAVYLAMP_LOG_FORMAT"
TEXT = "davylamp: %(levelname)s: %(message)s"


class LogFormat(StrEnum):
    """What a line of the log is."""

    TEXT = "text"
    JSON = "json"


class JsonFormatter(logging.Formatter):
    """A record as ``{"timestamp", "level", "logger", "message", "pid", "exception"}``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, whatever newlines the message has."""
        told: dict[str, object] = {
            "timestamp": rfc3339(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "pid": record.process,
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told)


def set_up(chosen: LogFormat) -> None:
    """Log to standard error from now on, and have children do the same."""
    os.environ[VARIABLE] = chosen.value
    handler = logging.StreamHandler(sys.stderr)
    json_lines = chosen is LogFormat.JSON
    handler.setFormatter(JsonFormatter() if json_lines else logging.Formatter(TEXT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def set_up_as_told() -> None:
    """Log as the process that started this one does."""
    try:
        set_up(LogFormat(os.environ.get(VARIABLE, LogFormat.TEXT)))
    except ValueError:
        set_up(LogFormat.TEXT)
