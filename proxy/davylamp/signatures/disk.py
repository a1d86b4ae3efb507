"""Reads a pack's files from a directory: the only file of this room that touches the disk."""

from collections.abc import Iterator
from pathlib import Path

from davylamp.errors import PackError
from davylamp.paths import DATA_ROOT, SIGNATURES
from davylamp.signatures.model import SignatureId
from davylamp.signatures.pack import VECTORS, Pack, load
from davylamp.signatures.vectors import Vector, parse_vectors

MAX_PACK_BYTES = 256 * 1024 * 1024


def load_directory(path: Path) -> Pack:
    """Compile the pack in a directory; raise PackError saying what is wrong with it and where.

    Hidden files, and links that lead out of the directory, are not read.
    """
    files = read_files(path)
    if not files:
        raise PackError(f"{path}: no such pack; give a directory with a pack.yaml in it")
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
            if not file.is_file() or any(part.startswith(".") for part in relative.parts):
                continue
            if file.is_symlink() and not file.resolve().is_relative_to(root):
                raise PackError(f"{relative}: a link out of the pack; copy the file in")
            total += file.stat().st_size
            if total > MAX_PACK_BYTES:
                raise PackError(f"{path}: more than {MAX_PACK_BYTES:,} bytes; not a pack")
            files[relative.as_posix()] = file.read_bytes()
    except OSError as error:
        raise PackError(f"{path}: cannot be read: {error.strerror or error}") from error
    return files


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
        try:
            data = file.read_bytes()
        except OSError as error:
            raise PackError(f"{file}: cannot be read: {error.strerror or error}") from error
        for vector in parse_vectors(data, file.relative_to(root).as_posix()):
            yield SignatureId(file.stem), vector
