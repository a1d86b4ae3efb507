"""A pack's folder and its vectors into the archive that is published."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from davylamp.errors import PackError
from davylamp.signatures.disk import read_files
from davylamp.signatures.pack import MANIFEST
from davylamp.updates.archive import pack_archive
from davylamp.updates.engine import features_of
from davylamp.updates.loading import LISTS, PackSource, compile_files
from davylamp.updates.manifest import FORMAT, VECTORS, Manifest, digests
from davylamp.updates.proving import prove


@dataclass(frozen=True, slots=True)
class Terms:
    """What a manifest says beside the files: ``days`` until it expires; the rest as there.

    ``number`` is by default the version's date and part of the day, as 2026112800.
    """

    number: int | None
    days: int
    min_engine: str
    max_engine: str = ""


def pack_files(pack: Path, vectors: Path) -> dict[str, bytes]:
    """Return a pack's files and its examples by their path in the archive; raise PackError."""
    files = {name: data for name, data in read_files(pack).items() if not name.startswith(VECTORS)}
    return files | {VECTORS + name: data for name, data in read_files(vectors).items()}


def beside(core: dict[str, bytes], own: dict[str, bytes]) -> dict[str, bytes]:
    """Return both packs' files as one, which has the name and version of ``own``.

    A signature of its own stands in for one of the same id, examples and all. Raises PackError
    where both have a list of one name.
    """
    stems = {PurePosixPath(name).name for name in own if not name.startswith(LISTS)} - {MANIFEST}
    kept = {
        name: data
        for name, data in core.items()
        if name != MANIFEST and (name.startswith(LISTS) or PurePosixPath(name).name not in stems)
    }
    if twice := sorted(kept.keys() & own.keys()):
        raise PackError(f"{twice[0]}: the core pack has a list of that name; rename yours")
    return kept | own


def build_archive(files: dict[str, bytes], terms: Terms, now: dt.datetime) -> bytes:
    """Return the archive of a pack that compiles and whose examples hold.

    Raises PackError for the first thing that a gateway would refuse.
    """
    loaded = compile_files(None, files, PackSource(path=""))
    prove(loaded.pack, loaded.vectors)
    now = now.astimezone(dt.UTC).replace(microsecond=0)
    manifest = Manifest(
        format=FORMAT,
        name=loaded.pack.name,
        version=loaded.pack.version,
        number=terms.number or _number(loaded.pack.version),
        min_engine=terms.min_engine,
        max_engine=terms.max_engine,
        features=tuple(sorted(features_of(loaded.pack))),
        created=now,
        expires=now + dt.timedelta(days=terms.days),
        files=digests(files),
    )
    return pack_archive(Manifest.parse(manifest.encode()), files)


def _number(version: str) -> int:
    """Return 2026112803 for 2026.11.28.3; raise PackError where a version is no date."""
    parts = [int(part) if part.isdecimal() else -1 for part in version.split(".")]
    if len(parts) not in (3, 4) or min(parts) < 0 or (parts[-1] > 99 and len(parts) == 4):
        raise PackError(f"version {version!r} gives no number; give one with --number")
    year, month, day, again = (*parts, 0)[:4]
    return ((year * 100 + month) * 100 + day) * 100 + again
