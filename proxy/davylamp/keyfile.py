"""Secrets on disk: made once, whole, and for their owner's eyes only."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from davylamp.errors import ConfigError


def kept(file: Path, fresh: Callable[[], bytes]) -> bytes:
    """Return what a file holds; where there is none, make it of ``fresh()`` with mode 0600.

    Of several processes that make it at once, one wins and all read the same. Raises ConfigError
    where it cannot be read or written.
    """
    try:
        if not file.exists():
            _make(file, fresh())
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}; it must be writable here, once") from error


def _make(file: Path, content: bytes) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    with open(draft, "xb", opener=_private) as out:
        out.write(content)
    try:
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
