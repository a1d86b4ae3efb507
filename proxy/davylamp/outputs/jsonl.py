"""JSON lines in any of the renderings, to a file that rotates by size or to a stream.

A line is written with one system call and no buffer of ours, so a reader that follows the file
sees every event at once and a killed gateway leaves at most one torn line. The next line starts
on a fresh one, so a tear costs one event and never two.
"""

import asyncio
import os
import threading
from pathlib import Path
from typing import BinaryIO

from davylamp import events
from davylamp.errors import ConfigError
from davylamp.events import AnyEvent
from davylamp.outputs.renderings.render import Render

DEFAULT_MAX_BYTES = 64 << 20
DEFAULT_KEEP = 8


class JsonLinesFile:
    """A sink that appends to ``path``, created 0600 because evidence names people's work.

    At ``max_bytes`` the file becomes ``path.1``, ``path.1`` becomes ``path.2``, and so on up to
    ``keep`` old files. A file that something else (logrotate) moved away is opened anew. Raises
    ConfigError where the file cannot be opened at the start.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        keep: int = DEFAULT_KEEP,
        render: Render = events.encode,
    ) -> None:
        self._path = path
        self._render = render
        self._max_bytes = max_bytes
        self._keep = keep
        self._lock = threading.Lock()
        self._closed = False
        self._fd: int | None = None
        self._size = 0
        self._torn = False
        try:
            self._open()
        except OSError as error:
            raise ConfigError(
                f"cannot write events to {path}: {error.strerror}; "
                "choose a file in a directory that exists and is writable"
            ) from error

    async def write(self, event: AnyEvent) -> None:
        """Append the event; raise OSError where the disk refuses it."""
        line = self._render(event) + b"\n"
        await asyncio.to_thread(self._append, line)

    async def close(self) -> None:
        """Close the file."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        with self._lock:
            self._closed = True
            self._release()

    def _append(self, line: bytes) -> None:
        with self._lock:
            if self._closed:
                raise OSError(f"{self._path} is closed")
            descriptor = self._ready_for(len(line))
            if self._torn:
                line = b"\n" + line
            written = os.write(descriptor, line)
            self._size += written
            self._torn = written < len(line)
            if self._torn:
                raise OSError(f"{self._path} took {written} of an event's {len(line)} bytes")

    def _ready_for(self, length: int) -> int:
        """Return the descriptor of a file that has room for ``length`` bytes."""
        if self._fd is not None and self._moved_away(self._fd):
            self._release()
        if self._fd is None:
            self._open()
        if self._size and self._size + length > self._max_bytes:
            self._release()
            self._rotate()
            self._open()
        assert self._fd is not None
        return self._fd

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(self._path, flags, 0o600)
        self._size = os.fstat(self._fd).st_size
        self._torn = self._size > 0 and os.pread(self._fd, 1, self._size - 1) != b"\n"

    def _release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _moved_away(self, descriptor: int) -> bool:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return True
        return not os.path.samestat(there, os.fstat(descriptor))

    def _rotate(self) -> None:
        for number in range(self._keep, 0, -1):
            source = self._numbered(number - 1)
            if source.exists():
                source.replace(self._numbered(number))
        if not self._keep:
            self._path.unlink(missing_ok=True)

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path


class JsonLinesStream:
    """A sink on a stream that is already open, as standard output is; it is left open."""

    def __init__(self, stream: BinaryIO, *, render: Render = events.encode) -> None:
        self._stream = stream
        self._render = render
        self._lock = threading.Lock()

    async def write(self, event: AnyEvent) -> None:
        """Write the event as one line and flush it; raise OSError where the reader is gone."""
        line = self._render(event) + b"\n"
        await asyncio.to_thread(self._put, line)

    async def close(self) -> None:
        """Leave the stream to its owner."""

    def _put(self, line: bytes) -> None:
        with self._lock:
            self._stream.write(line)
            self._stream.flush()
