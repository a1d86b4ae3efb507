"""The progress bar: on a terminal's standard error, in bytes of the files, or not at all."""

import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TextIO

from rich import progress as bars
from rich.console import Console

_SECONDS_PER_REFRESH = 0.1


class Progress:
    """Shows how much of the files is read while it is entered, if standard error is a terminal."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._sizes = [_size(path) for path in paths]
        self._read = [0] * len(paths)
        self._refreshed = 0.0
        console = Console(stderr=True)
        self._bar: bars.Progress | None = None
        if console.is_terminal:
            self._bar = bars.Progress(
                bars.TextColumn("replay"),
                bars.BarColumn(),
                bars.TaskProgressColumn(),
                bars.DownloadColumn(),
                bars.TimeRemainingColumn(),
                console=console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,  # standard output stays what it is, a file perhaps
                redirect_stderr=False,
            )
            self._task = self._bar.add_task("replay", total=sum(self._sizes) or None)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, index: int, consumed: int) -> None:
        """Take in that ``consumed`` bytes of file number ``index`` are read."""
        if self._bar is None:
            return
        more = consumed - self._read[index]
        self._read[index] = consumed
        now = time.monotonic()
        self._bar.update(self._task, advance=more)
        if now - self._refreshed > _SECONDS_PER_REFRESH:
            self._refreshed = now
            self._bar.refresh()

    def complete(self, index: int) -> None:
        """Take in that file number ``index`` is done, read or not."""
        self.advance(index, self._sizes[index])

    @contextmanager
    def hidden(self, stream: TextIO) -> Iterator[None]:
        """Take the bar away while something is written to ``stream``, if that is a terminal."""
        if self._bar is None or not self._bar.live.is_started or not stream.isatty():
            yield
            return
        self._bar.stop()
        try:
            yield
        finally:
            self._bar.start()


def _size(path: Path) -> int:
    try:
        status = path.stat()
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0
