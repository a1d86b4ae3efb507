"""A capture file, whatever its format: recognised by its first bytes, read as IP packets."""

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from davylamp.capture import pcapng
from davylamp.capture.bytesource import ByteSource
from davylamp.capture.pcap import MAGICS, Tally, read_pcap
from davylamp.errors import CaptureError

SUFFIXES = (".pcap", ".pcapng", ".cap", ".ntar", ".pcap.gz", ".pcapng.gz", ".cap.gz")
"""Names under which capture files are kept; in a folder they are read, or reported as damaged."""


class Trace:
    """One open capture file; iterate it once for (seconds since the epoch, IP packet) pairs.

    pcap, pcapng, and either of them gzipped. Iteration raises CaptureError, naming the file and
    the byte offset, after every packet that could be read was yielded. Pipes and devices work.
    """

    __slots__ = ("_source", "_tally", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._source = ByteSource(path)
        self._tally = Tally()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()

    def __iter__(self) -> Iterator[tuple[float, bytes]]:
        source = self._source
        buffer = source.refill(b"", 4)
        magic = buffer[:4]
        if magic == pcapng.MAGIC:
            return pcapng.read_pcapng(source, buffer, self._tally)
        if magic in MAGICS:
            return read_pcap(source, buffer, self._tally)
        if not buffer:
            raise CaptureError(f"{self.path}: is empty, not a capture")
        raise source.fault(0, f"this is neither pcap nor pcapng (it begins with {magic.hex(' ')})")

    @property
    def skipped(self) -> int:
        """Frames so far that held no IP packet we know how to find."""
        return self._tally.skipped

    @property
    def consumed(self) -> int:
        """Bytes of the file (as it is on disk) read so far."""
        return self._source.consumed


def find_traces(path: Path) -> Iterator[Path]:
    """Yield the capture files that ``path`` stands for.

    A folder is walked in name order, without following links to folders, for regular files that
    are named or begin like a capture; anything else stands for itself, readable or not.
    """
    if not path.is_dir():
        yield path
        return
    for folder, subfolders, names in os.walk(path):
        subfolders.sort()
        for name in sorted(names):
            file = Path(folder, name)
            if file.is_file() and (name.lower().endswith(SUFFIXES) or is_trace(file)):
                yield file


def is_trace(file: Path) -> bool:
    """Tell whether a file begins like a capture, gzipped or not."""
    try:
        with file.open("rb") as opened:
            head = opened.read(512)
    except OSError:
        return False
    if head.startswith(b"\x1f\x8b"):
        try:
            head = zlib.decompressobj(31).decompress(head, 4)
        except zlib.error:
            return False
    return head[:4] == pcapng.MAGIC or head[:4] in MAGICS
