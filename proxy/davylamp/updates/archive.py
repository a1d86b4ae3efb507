"""A pack as one file: a gzipped ustar archive that is the same bytes whoever makes it.

Strategy of the reader: nothing of it is trusted, though its digest was signed. It is read as a
stream, one 512-byte header at a time (POSIX.1-1988 ustar), and never more is decompressed than
the bounds allow. Only plain files are known; the extended headers by which tar programs differ
(pax, GNU) are refused, so that there is one reading of an archive. Nothing touches a disk here.
"""

import gzip
import io
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from davylamp.errors import PackError
from davylamp.updates.manifest import NAME, Manifest

_BLOCK = 512
_LINKS = (tarfile.LNKTYPE, tarfile.SYMTYPE)
_DEVICES = (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
_WORD = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """Bounds in bytes, and on how many files there are."""

    packed: int = 64 << 20
    unpacked: int = 256 << 20
    file: int = 64 << 20
    files: int = 50_000
    path: int = 200
    depth: int = 6


_LIMITS = ArchiveLimits()


def pack_archive(manifest: Manifest, files: Mapping[str, bytes]) -> bytes:
    """Return the archive of a pack's files; the same input gives the same bytes.

    Raises PackError where a file's name could not be read back.
    """
    manifest.check_files(files)
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=packed, mode="wb", compresslevel=9, mtime=0) as out:
        out.write(_entry(NAME, manifest.encode()))
        for name in sorted(files):
            _check_path(name, _LIMITS)
            out.write(_entry(name, files[name]))
        out.write(bytes(2 * _BLOCK))
    return packed.getvalue()


def _entry(name: str, data: bytes) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(data), 0o644, 0
    try:
        head = member.tobuf(tarfile.USTAR_FORMAT)
    except ValueError as error:
        raise PackError(f"{name}: cannot be packed: {error}; a shorter name will do") from error
    return head + data + bytes(-len(data) % _BLOCK)


def read_archive(
    packed: bytes, limits: ArchiveLimits = _LIMITS
) -> tuple[Manifest, dict[str, bytes]]:
    """Return an archive's manifest and files, each as the manifest describes it.

    Raises PackError with the first thing that is wrong.
    """
    if len(packed) > limits.packed:
        raise PackError(f"the archive has more than {limits.packed:,} bytes; this is no pack")
    files: dict[str, bytes] = {}
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as stream:
            _read_members(_Bounded(stream, limits.unpacked), files, limits)
    except (OSError, EOFError, zlib.error) as error:
        raise PackError(f"the archive is damaged: {error}; fetch it again") from error
    if NAME not in files:
        raise PackError(f"the archive has no {NAME}; have it made by davylamp pack repo publish")
    manifest = Manifest.parse(files.pop(NAME))
    manifest.check_files(files)
    return manifest, files


class _Bounded:
    """Reads exactly so many bytes, and so many in all; a bomb ends here."""

    def __init__(self, stream: gzip.GzipFile, most: int) -> None:
        self._stream = stream
        self._most = most
        self._left = most

    def read(self, size: int) -> bytes:
        if size > self._left:
            raise PackError(f"the archive unpacks to more than {self._most:,} bytes; a zip bomb")
        data = self._stream.read(size)
        self._left -= len(data)
        if len(data) != size:
            raise PackError("the archive ends in the middle; fetch it again")
        return data

    def rest_is_padding(self) -> bool:
        while piece := self._stream.read(1 << 16):
            self._left -= len(piece)
            if self._left < 0:
                raise PackError(
                    f"the archive unpacks to more than {self._most:,} bytes; a zip bomb"
                )
            if piece.strip(b"\0"):
                return False
        return True


def _read_members(stream: _Bounded, files: dict[str, bytes], limits: ArchiveLimits) -> None:
    while (head := stream.read(_BLOCK)).strip(b"\0"):
        try:
            member = tarfile.TarInfo.frombuf(head, "ascii", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError, ValueError) as error:
            raise PackError(f"the archive is damaged: {error}; fetch it again") from error
        name = member.name
        _check_kind(member)
        _check_path(name, limits)
        if name in files:
            raise PackError(f"{name}: is twice in the archive")
        if len(files) >= limits.files:
            raise PackError(f"the archive has more than {limits.files:,} files")
        if not 0 <= member.size <= limits.file:
            raise PackError(f"{name}: has more than {limits.file:,} bytes")
        files[name] = stream.read(member.size)
        stream.read(-member.size % _BLOCK)
    if not stream.rest_is_padding():
        raise PackError("the archive goes on after its end")


def _check_kind(member: tarfile.TarInfo) -> None:
    shown = member.name[:80]
    if member.type in _LINKS:
        raise PackError(f"{shown!r}: is a link; a pack has only plain files")
    if member.type in _DEVICES:
        raise PackError(f"{shown!r}: is a device; a pack has only plain files")
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.name.endswith("/"):
        raise PackError(f"{shown!r}: is not a plain file, and a pack has nothing else")


def _check_path(name: str, limits: ArchiveLimits) -> None:
    if name.startswith("/"):
        raise PackError(f"{name[:80]!r}: an absolute path; names are relative to the pack")
    parts = name.split("/")
    if ".." in parts:
        raise PackError(f"{name[:80]!r}: leads out of the pack")
    if len(name) > limits.path or len(parts) > limits.depth:
        raise PackError(f"{name[:80]!r}: too long a name")
    for part in parts:
        if not part or part[0] == "." or not _WORD.issuperset(part):
            raise PackError(f"{name[:80]!r}: names are letters, digits, '.', '-' and '_'")
