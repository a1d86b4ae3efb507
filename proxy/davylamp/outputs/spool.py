"""Lines kept on disk, in order, until they have been handed over.

Strategy: numbered segment files that are only ever appended to, and one small ``position`` file
that says how far delivery has come. A record is ``crc32 in hex, space, line, newline``: a person
can read it, and a torn or damaged record is told apart from a whole one and skipped.

What survives: everything, when the process is killed at any instant (each append and each step of
the position is one system call, and the kernel keeps what was written). A record whose delivery
succeeded just before the kill is handed over again, so the receiver must know repeats. When the
whole machine loses power the last seconds may be lost: a segment is only synced when it is full,
because waiting for a disk at every event would slow each event to protect against the rarer case.

What is bounded: all segments together stay within ``max_bytes``. When that is reached the second
oldest segment goes: the first keeps how the outage began, the later ones what is newest.
"""

import errno
import fcntl
import os
import zlib
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from davylamp.errors import ConfigError

DEFAULT_MAX_BYTES = 64 << 20
SEGMENTS = 8
SUFFIX = ".spool"


@dataclass(slots=True)
class _Segment:
    """One file; ``pending`` counts its whole records that are not yet handed over."""

    number: int
    size: int
    pending: int


class Spool:
    """A bounded first-in, first-out queue of lines in a directory of its own (created 0700).

    ``peek`` shows the oldest lines, and ``ack`` forgets those shown last.
    Counters: ``dropped`` lines lost to the bound, ``damaged`` records that were torn or altered on
    disk. Not safe for several threads at once; one process at a time holds the directory, a second
    gets ConfigError, as does one that may not write there.
    """

    def __init__(self, directory: Path, *, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self.dropped = 0
        self.damaged = 0
        self._directory = directory
        self._max_bytes = max_bytes
        self._segment_bytes = max(max_bytes // SEGMENTS, 1)
        self._position_fd = self._lock()
        self._segments: deque[_Segment] = deque()
        self._reader: BinaryIO | None = None
        self._writer: int | None = None
        self._peeked = 0
        self._peeked_lines = 0
        self._offset = 0
        self._recover()

    def __len__(self) -> int:
        # A copy, made in one step: others look while the thread of an append adds a segment.
        return sum(segment.pending for segment in tuple(self._segments))

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._total()

    @property
    def max_bytes(self) -> int:
        """The bound of :attr:`size`."""
        return self._max_bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, line: bytes) -> None:
        """Keep ``line``, which holds no newline.

        Raises OSError where the disk refuses it, or the spool is closed.
        """
        self._check_open()
        record = b"%08x %b\n" % (zlib.crc32(line), line)
        if len(record) > self._segment_bytes:
            self.dropped += 1
            return
        if self._writer is None or self._segments[-1].size + len(record) > self._segment_bytes:
            self._begin_segment()
        while self._total() + len(record) > self._max_bytes and len(self._segments) > 2:
            self._drop_second_oldest()
        self._write(record)

    def peek(self, count: int, max_bytes: int = DEFAULT_MAX_BYTES) -> list[bytes]:
        """Return at most ``count`` oldest lines, in order; one, and more within ``max_bytes``.

        They are of one segment, so there may be more than were returned. Raises OSError where the
        disk cannot be read, or the spool is closed.
        """
        self._check_open()
        lines: list[bytes] = []
        end, taken = self._offset, 0
        while self._segments and len(lines) < count:
            record = self._read_record(end)
            if record == b"":
                if lines or len(self._segments) == 1:
                    break
                self._finish_oldest()
                end = self._offset
                continue
            line = _check(record)
            if lines and (line is None or taken + len(line) > max_bytes):
                break
            end += len(record)
            if line is None:
                self.damaged += 1
                self._move_to(end)
                continue
            lines.append(line)
            taken += len(line)
        self._peeked, self._peeked_lines = end, len(lines)
        return lines

    def ack(self) -> None:
        """Forget the lines that were peeked at last; without any, do nothing."""
        if self._peeked > self._offset:
            self._segments[0].pending -= self._peeked_lines
            self._move_to(self._peeked)

    def close(self) -> None:
        """Release the directory; what was not handed over stays in it for the next start."""
        if self._position_fd < 0:
            return
        # Forgotten first: a number that is closed may be another file's at once.
        reader, writer, position = self._reader, self._writer, self._position_fd
        self._reader, self._writer, self._position_fd = None, None, -1
        if reader is not None:
            reader.close()
        if writer is not None:
            os.close(writer)
        os.close(position)

    def _check_open(self) -> None:
        if self._position_fd < 0:
            raise OSError(errno.EBADF, "the spool is closed", str(self._directory))

    # Opening what an earlier run left.

    def _lock(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._directory / "position", flags, 0o600)
        except OSError as error:
            raise ConfigError(
                f"the spool {self._directory} cannot be written: {error.strerror}; "
                "name another state_dir"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise ConfigError(
                f"the spool {self._directory} is in use by another davylamp; give each its own"
            ) from error
        return descriptor

    def _recover(self) -> None:
        number, offset = self._read_position()
        found = sorted(
            int(path.stem) for path in self._directory.glob(f"*{SUFFIX}") if path.stem.isdecimal()
        )
        # The position always names a segment that exists. One that does not is not believed:
        # better to hand over everything once more than to lose it.
        if number not in found or offset > self._path(number).stat().st_size:
            number, offset = 0, 0
        for candidate in found:
            path = self._path(candidate)
            if candidate < number:
                path.unlink()
                continue
            start = offset if candidate == number else 0
            with path.open("rb") as file:
                file.seek(start)
                pending = sum(_check(record) is not None for record in file)
            self._segments.append(_Segment(candidate, path.stat().st_size, pending))
        if self._segments and self._segments[0].number == number:
            self._offset = offset

    def _read_position(self) -> tuple[int, int]:
        try:
            number, offset = (int(part) for part in os.pread(self._position_fd, 64, 0).split())
        except ValueError:
            return 0, 0
        return (number, offset) if 0 <= number < 10**18 and offset >= 0 else (0, 0)

    # Writing.

    def _begin_segment(self) -> None:
        if self._writer is not None:
            os.fsync(self._writer)
            os.close(self._writer)
            self._writer = None
        number = self._segments[-1].number + 1 if self._segments else self._read_position()[0] + 1
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._writer = os.open(self._path(number), flags, 0o600)
        self._segments.append(_Segment(number, 0, 0))
        if len(self._segments) == 1:
            self._move_to(0)

    def _write(self, record: bytes) -> None:
        assert self._writer is not None
        segment = self._segments[-1]
        written = 0
        try:
            written = os.write(self._writer, record)
        finally:
            if written < len(record):
                os.ftruncate(self._writer, segment.size)
        if written < len(record):
            raise OSError(f"the disk of {self._directory} is full")
        segment.size += written
        segment.pending += 1

    def _drop_second_oldest(self) -> None:
        segment = self._segments[1]
        del self._segments[1]
        self._path(segment.number).unlink()
        self.dropped += segment.pending

    def _total(self) -> int:
        return sum(segment.size for segment in tuple(self._segments))

    # Reading.

    def _read_record(self, offset: int) -> bytes:
        if self._reader is None:
            self._reader = self._path(self._segments[0].number).open("rb")
        self._reader.seek(offset)
        return self._reader.readline()

    def _finish_oldest(self) -> None:
        assert self._reader is not None
        self._reader.close()
        self._reader = None
        done = self._segments.popleft()
        self._move_to(0)
        self._path(done.number).unlink()

    def _move_to(self, offset: int) -> None:
        """Put the position on disk; fixed width, so that one write replaces all of it."""
        self._offset = self._peeked = offset
        number = self._segments[0].number
        os.pwrite(self._position_fd, b"%020d %020d\n" % (number, offset), 0)

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:020d}{SUFFIX}"


def _check(record: bytes) -> bytes | None:
    """Return a record's line, or None where the record is torn or damaged."""
    if len(record) < 10 or not record.endswith(b"\n"):
        return None
    line = record[9:-1]
    return line if record[:9] == b"%08x " % zlib.crc32(line) else None
