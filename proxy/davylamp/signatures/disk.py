"""Reads a pack's files from a directory: the only file of this room that touches the disk."""

from collections.abc import Iterator
from pathlib import Path

from davylamp.errors import PackError
from davylamp.paths import DATA_ROOT, SIGNATURES
from davylamp.signatures.model import SignatureId
from davylamp.signatures.pack import MANIFEST, VECTORS, Pack, load
from davylamp.signatures.vectors import Vector, parse_vectors

MAX_PACK_BYTES = 256 * 1024 * 1024


def load_directory(path: Path) -> Pack:
    """Compile the pack in a directory; raise PackError saying what is wrong with it and where.

    Hidden files are not read; links that lead out of the directory, or to a folder, are refused.
    """
    files = read_files(path)
    if MANIFEST not in files:
        raise PackError(f"{path}: no {MANIFEST} in it; a pack has one, with its name and version")
    try:
        return load(files)
    except PackError as error:
        file, colon, rest = str(error).partition(":")
        if file not in files:
            raise
        raise PackError(f"{path / file}{colon}{rest}") from error


def read_files(path: Path) -> dict[str, bytes]:
    """Return the files beneath a directory by their path in it; raise PackError as above."""
    root = path.resolve()
    files: dict[str, bytes] = {}
    total = 0
    try:
        for file in sorted(root.rglob("*")):
            relative = file.relative_to(root)
            if any(part.startswith(".") for part in relative.parts):
                continue
            if file.is_symlink():
                _check_link(file, root, path / relative)
            if not file.is_file():
                continue
            total += file.stat().st_size
            if total > MAX_PACK_BYTES:
                raise PackError(f"{path}: more than {MAX_PACK_BYTES:,} bytes; not a pack")
            files[relative.as_posix()] = file.read_bytes()
    except OSError as error:
        raise PackError(f"{path}: cannot be read: {error.strerror or error}") from error
    return files


def _check_link(file: Path, root: Path, shown: Path) -> None:
    if not file.is_file():
        raise PackError(f"{shown}: a link to a folder or to nothing; copy the files in")
    if not file.resolve().is_relative_to(root):
        raise PackError(f"{shown}: a link out of the pack; copy the file in")


def vectors_of(path: Path) -> Path:
    """Return the folder of a pack's vectors: in the pack, or the core pack's among the tests."""
    own = path / VECTORS
    beside = DATA_ROOT / "tests" / "signatures" / "core"
    is_core = path.resolve() == (SIGNATURES / "core").resolve()
    return beside if is_core and not own.is_dir() and beside.is_dir() else own


def load_vectors(path: Path) -> Iterator[tuple[SignatureId, Vector]]:
    """Yield every vector in a file, or beneath a directory, with the signature it is named after.

    Raises PackError naming the file, line and column of a vector that cannot be read.
    """
    root = path if path.is_dir() else path.parent
    for file in sorted(path.rglob("*.yaml")) if path.is_dir() else (path,):
        name = file.relative_to(root).as_posix()
        if not file.is_file():
            raise PackError(f"{file}: not a file; a vector file is FAMILY/ID.yaml")
        try:
            vectors = parse_vectors(file.read_bytes(), name)
        except OSError as error:
            raise PackError(f"{file}: cannot be read: {error.strerror or error}") from error
        except PackError as error:
            raise PackError(f"{file}{str(error).removeprefix(name)}") from error
        for vector in vectors:
            yield SignatureId(file.stem), vector
