"""A file as a run of bytes: opened, inflated where it is gzip, and read forwards in big pieces.

Strategy: the reader above keeps one ``bytes`` buffer and an index into it, and asks for more only
when the record it stands on is not complete. Whatever fails here (the road, or the gzip data)
therefore never costs a record that was already complete.
"""

import zlib
from pathlib import Path
from typing import Self

from davylamp.errors import CaptureError

CHUNK = 512 * 1024
"""Bytes read, or inflated, at a time."""

_GZIP_MAGIC = b"\x1f\x8b"  # RFC 1952 section 2.3.1
_GZIP_INPUT = 16 * 1024  # what a damaged deflate block can cost, at most
_GZIP_WBITS = 31

MAX_INFLATED = 64 * 1024**3
"""Bytes that one gzip file may grow to: deflate can hide a thousand times its own size."""


class ByteSource:
    """The bytes of one file, pipe or device, in order, gzip undone.

    ``path`` is for messages too. Opening and reading raise CaptureError, never OSError.
    """

    __slots__ = ("_file", "_inflater", "_input", "_limit", "consumed", "handed", "path")

    def __init__(self, path: Path, max_inflated: int = MAX_INFLATED) -> None:
        self.path = path
        self.consumed = 0
        """Bytes taken from the file as it is on disk; measures progress."""
        self.handed = 0
        """Bytes given to the reader, after inflating; offsets in messages count these."""
        self._limit = max_inflated
        self._inflater: zlib._Decompress | None = None
        self._input = b""
        try:
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise CaptureError(f"{path}: cannot be opened: {error.strerror}") from error
        self._input = self._read_raw(CHUNK)
        if self._input.startswith(_GZIP_MAGIC):
            self._inflater = zlib.decompressobj(_GZIP_WBITS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        self._file.close()

    @property
    def compressed(self) -> bool:
        """Whether the file is gzip, so that offsets count inflated bytes."""
        return self._inflater is not None

    def refill(self, rest: bytes, need: int) -> bytes:
        """Return ``rest`` and what follows it, at least ``need`` bytes unless the input ends.

        Raises CaptureError where the file cannot be read on or its gzip data is damaged.
        """
        parts = [rest]
        have = len(rest)
        while have < need:
            piece = self._next()
            if not piece:
                break
            parts.append(piece)
            have += len(piece)
            self.handed += len(piece)
        return b"".join(parts)

    def fault(self, offset: int, what: str) -> CaptureError:
        """Return the error for something wrong at ``offset`` bytes from the start."""
        where = "inflated byte" if self.compressed else "byte"
        return CaptureError(f"{self.path}: at {where} {offset}: {what}")

    def _next(self) -> bytes:
        if self._inflater is not None:
            return self._inflate(self._inflater)
        piece, self._input = self._input, b""
        return piece or self._read_raw(CHUNK)

    def _inflate(self, inflater: "zlib._Decompress") -> bytes:
        # Every turn of the loop consumes input or ends a member, so it ends with the file.
        while True:
            if not self._input:
                self._input = self._read_raw(CHUNK)
            if inflater.eof:
                # Members may follow one another (RFC 1952 section 2.2), and zero padding the last.
                self._input = self._input.lstrip(b"\0")
                if self._input.startswith(_GZIP_MAGIC):
                    self._inflater = inflater = zlib.decompressobj(_GZIP_WBITS)
                elif not self._input:
                    return b""
                else:
                    raise self._gzip_fault("bytes that are not gzip follow the gzip data")
            feed, self._input = self._input[:_GZIP_INPUT], self._input[_GZIP_INPUT:]
            try:
                piece = inflater.decompress(feed, CHUNK)
            except zlib.error as error:
                raise self._gzip_fault(f"the gzip data is damaged ({error})") from error
            self._input = inflater.unconsumed_tail + inflater.unused_data + self._input
            if piece:
                if self.handed + len(piece) > self._limit:
                    raise self._gzip_fault(
                        f"it inflates to more than {self._limit} bytes; inflate it first, "
                        "then replay the result"
                    )
                return piece
            if not feed:
                raise self._gzip_fault("the gzip data is cut off here")

    def _gzip_fault(self, what: str) -> CaptureError:
        return CaptureError(
            f"{self.path}: at inflated byte {self.handed} (file byte "
            f"{self.consumed - len(self._input)}): {what}"
        )

    def _read_raw(self, size: int) -> bytes:
        try:
            piece = self._file.read(size) or b""
        except OSError as error:
            raise CaptureError(
                f"{self.path}: at byte {self.consumed}: cannot be read: {error.strerror}"
            ) from error
        self.consumed += len(piece)
        return piece
