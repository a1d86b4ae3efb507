"""Where a pack is, what the site changed about it, and both made into one compiled pack."""

import hashlib
import logging
from dataclasses import replace
from pathlib import Path, PurePosixPath

import msgspec

from davylamp.errors import PackError
from davylamp.signatures.disk import read_files
from davylamp.signatures.memo import Memo
from davylamp.signatures.model import Maturity, Signature, SignatureId
from davylamp.signatures.pack import MANIFEST, Pack, load
from davylamp.updates.archive import read_archive
from davylamp.updates.manifest import VECTORS, Manifest

_logger = logging.getLogger(__name__)

LISTS = "lists/"
_LOCAL = "local/"
LOCAL_SUFFIX = "+local"
"""Stands behind the version of a pack that the site changed."""


class PackSource(msgspec.Struct, frozen=True, kw_only=True):
    """All that decides what a pack is; the same source gives every worker the same pack.

    ``path`` is an archive or a folder; ``sha256`` is the archive's, where it was installed.
    ``disabled`` signatures are off and ``enabled`` ones of the sandbox are on, as incubating ones.
    ``local`` is a folder of the site's own signatures; one of the same id stands in for the pack's.
    """

    path: str
    sha256: str = ""
    disabled: tuple[str, ...] = ()
    enabled: tuple[str, ...] = ()
    local: str = ""


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A compiled pack, ``digest`` of all that went into it, and its manifest if it has one."""

    pack: Pack
    digest: str
    manifest: Manifest | None
    vectors: dict[str, bytes]


def load_source(source: PackSource, memo: Memo | None = None) -> Loaded:
    """Compile what a source names; raise PackError saying what is wrong with it and where.

    ``memo`` spares what was compiled with it before.
    """
    return compile_files(*_read(source), source, memo)


def without_local(folder: str) -> str:
    """Say that a folder of the site's own signatures is not there; nothing where it is.

    A share that is not mounted takes them out of force, and that is no fault of the pack's.
    """
    if not folder or Path(folder).is_dir():
        return ""
    return f"{folder} is no folder: the site's own signatures are not in force"


def load_to_begin(source: PackSource, memo: Memo | None = None) -> Pack:
    """Compile what a process begins with; raise PackError where the pack itself cannot be used.

    The site's own signatures are left out where they are what is wrong: somebody edits them just
    then, and a worker that has died must come back.
    """
    try:
        return load_source(source, memo).pack
    except PackError as error:
        if not source.local:
            raise
        # mitmproxy ends over an error that is logged while it starts.
        _logger.warning("begun without the site's own signatures: %s", error)
        return load_source(msgspec.structs.replace(source, local=""), memo).pack


def compile_files(
    manifest: Manifest | None,
    files: dict[str, bytes],
    source: PackSource,
    memo: Memo | None = None,
) -> Loaded:
    """Compile files that were read already, with what the source changes about them."""
    vectors = {
        name.removeprefix(VECTORS): data for name, data in files.items() if name.startswith(VECTORS)
    }
    own = {name: data for name, data in files.items() if not name.startswith(VECTORS)}
    local = read_files(Path(source.local)) if source.local and Path(source.local).is_dir() else {}
    merged = _merge(own, local)
    memo, digest = memo or Memo(), _digest(merged, source)
    pack = memo.whole(digest, lambda: _adjusted(load(merged, memo), source, changed=bool(local)))
    return Loaded(pack=pack, digest=digest, manifest=manifest, vectors=vectors)


def _read(source: PackSource) -> tuple[Manifest | None, dict[str, bytes]]:
    path = Path(source.path)
    if path.is_dir():
        return None, read_files(path)
    try:
        packed = path.read_bytes()
    except OSError as error:
        raise PackError(
            f"{path}: cannot be read: {error.strerror or error}; davylamp pack update, or rollback"
        ) from error
    if source.sha256 and hashlib.sha256(packed).hexdigest() != source.sha256:
        raise PackError(f"{path}: is not the file that was installed; davylamp pack update")
    return read_archive(packed)


def _merge(own: dict[str, bytes], local: dict[str, bytes]) -> dict[str, bytes]:
    """Put the site's own files beside the pack's; a signature of the same name stands in for it."""
    stems = {_stem(name) for name in local if not name.startswith(LISTS)}
    merged = {
        name: data
        for name, data in own.items()
        if name == MANIFEST or name.startswith(LISTS) or _stem(name) not in stems
    }
    for name, data in local.items():
        if name == MANIFEST or name.startswith(VECTORS):
            continue
        if not name.startswith(LISTS):
            merged[_LOCAL + name] = data
        elif name in merged:
            raise PackError(f"{name}: the pack has a list of that name; rename the local one")
        else:
            merged[name] = data
    return merged


def _adjusted(pack: Pack, source: PackSource, *, changed: bool) -> Pack:
    if not (changed or source.disabled or source.enabled):
        return pack
    disabled, enabled = frozenset(source.disabled), frozenset(source.enabled)

    def adjusted(one: Signature) -> Signature:
        if one.id in disabled:
            return replace(one, maturity=Maturity.SANDBOX)
        if one.id in enabled and one.maturity is Maturity.SANDBOX:
            return replace(one, maturity=Maturity.INCUBATING)
        return one

    return Pack.build(
        pack.name,
        pack.version + LOCAL_SUFFIX,
        map(adjusted, pack.signatures.values()),
        pack.lists,
        pack.endpoint_lists,
    )


def unknown_ids(pack: Pack, identities: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of the ids that no signature of the pack has."""
    return tuple(one for one in identities if SignatureId(one) not in pack.signatures)


def _stem(name: str) -> str:
    return PurePosixPath(name).name


def _digest(files: dict[str, bytes], source: PackSource) -> str:
    whole = hashlib.sha256(repr((sorted(source.disabled), sorted(source.enabled))).encode())
    for name in sorted(files):
        whole.update(f"{len(name)}:{name}:{len(files[name])}:".encode() + files[name])
    return whole.hexdigest()
