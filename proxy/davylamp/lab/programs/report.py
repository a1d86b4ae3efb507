"""JSON lines: how every lab program says what happens to it, and JSON files replaced whole."""

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

type Json = bool | int | float | str | Sequence["Json"] | dict[str, "Json"] | None

EXCERPT = 400


@dataclass(frozen=True, slots=True)
class Listening:
    """One address that a program accepts connections on."""

    service: str
    address: str
    port: int


class Reporter:
    """Writes one JSON object a line, each with the monotonic time in seconds.

    The monotonic clock is the kernel's, so times of two programs on one machine compare, also
    across network namespaces. A reader that goes away silences the reporter, not the program.
    """

    def __init__(self, stream: TextIO | None = None, *, silent: bool = False) -> None:
        self._stream = None if silent else sys.stdout if stream is None else stream

    def say(self, event: str, **members: Json) -> None:
        """Write one event line."""
        self._write({"event": event, "monotonic": round(time.monotonic(), 6), **members})

    def ready(self, listening: Sequence[Listening] = ()) -> None:
        """Write the readiness line; whoever started the program may go on once it is read."""
        self._write({"ready": True, "listening": [asdict(one) for one in listening]})

    def _write(self, line: dict[str, Json]) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(json.dumps(line, separators=(",", ":")) + "\n")
            self._stream.flush()
        except (BrokenPipeError, ValueError):
            self._stream = None


def excerpt(data: bytes) -> str:
    """Return up to 400 bytes as printable text, for a log line."""
    return data[:EXCERPT].decode("utf-8", "backslashreplace")


def replace_json(path: Path, value: Json) -> None:
    """Replace a file's content with one JSON value; a reader sees the old or the new, never half.

    Raises OSError where the folder is not writable.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    fresh.replace(path)
