"""The terminal: drawn again every so often and whenever its size changes, until ``q``."""

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from davylamp.errors import ConfigError
from davylamp.top.asking import Look
from davylamp.top.picture import picture

_SLICE = 0.1
"""How often the keyboard and the terminal's size are looked at, in seconds."""


def watch(look: Callable[[int], Look], every: float) -> None:
    """Show what ``look(lines)`` returns, anew each ``every`` seconds, until ``q`` or Ctrl-C.

    A gateway that does not answer is said so in the first line, and asked again.
    """
    console = Console(highlight=False)
    with _keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            try:
                seen: Look | ConfigError = look(console.height)
            except ConfigError as error:
                seen = error
            due = time.monotonic() + every
            size = None
            while time.monotonic() < due:
                if console.size != size:
                    size = console.size
                    live.update(_drawn(seen, size.height), refresh=True)
                if pressed(_SLICE):
                    return


def _drawn(seen: Look | ConfigError, height: int) -> RenderableType:
    return Text(str(seen), "bold red") if isinstance(seen, ConfigError) else picture(seen, height)


@contextmanager
def _keys() -> Iterator[Callable[[float], bool]]:
    """Give a function that waits so many seconds for ``q``; then the terminal is as before."""
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    tty.setcbreak(keyboard)

    def pressed(seconds: float) -> bool:
        ready, _, _ = select.select([keyboard], [], [], seconds)
        if not ready:
            return False
        keys = os.read(keyboard, 64)
        return not keys or b"q" in keys or b"Q" in keys

    try:
        yield pressed
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
