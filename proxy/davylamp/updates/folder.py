"""A repository's folder: what is published in it and what is drafted, each file whole or not there.

A copy of the folder that was signed elsewhere may come back over what has gone on meanwhile. So a
draft of what is out already is none, and a version is never given twice.
"""

import os
import secrets
from pathlib import Path
from typing import Any

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata
from tuf.api.serialization.json import JSONSerializer

from davylamp.errors import ConfigError, reason

ROOT, TARGETS, SNAPSHOT, TIMESTAMP = "root", "targets", "snapshot", "timestamp"
SERIALIZER = JSONSerializer(compact=False)


class RepositoryFolder:
    """The files; raises ConfigError for those that cannot be read or written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._metadata = path / "metadata"
        self._targets = path / "targets"
        self._drafts = path / "drafts"

    @property
    def begun(self) -> bool:
        """Whether there is a repository: one whose first root is out."""
        return self.version(ROOT) > 0

    def version(self, role: str) -> int:
        """Return which version of a role is out, 0 where there is none."""
        if role == TIMESTAMP:
            file = self._metadata / "timestamp.json"
            return int(_read(file).signed.version) if file.exists() else 0
        return max((_number(one.name) for one in self._metadata.glob(f"*.{role}.json")), default=0)

    def next(self, role: str) -> int:
        """Return the version to give next.

        A timestamp has no number in its name, so an old copy of it leaves no trace of newer ones;
        the snapshots do, and each has its timestamp.
        """
        last = self.version(role)
        return 1 + (max(last, self.version(SNAPSHOT)) if role == TIMESTAMP else last)

    def newest(self, role: str) -> Metadata[Any]:
        """Return the newest published metadata of a role; raise ConfigError where there is none."""
        version = self.version(role)
        if not version:
            raise ConfigError(f"{self.path}: is no repository; davylamp pack repo init makes one")
        return _read(self.file(role, version))

    def out(self, role: str) -> Metadata[Any] | None:
        """Return the newest published metadata of a role, None where there is none."""
        return self.newest(role) if self.version(role) else None

    def drafted(self, role: str) -> Metadata[Any] | None:
        """Return the draft of what is not out yet."""
        file = self._drafts / f"{role}.json"
        if not file.exists():
            return None
        draft = _read(file)
        return draft if draft.signed.version > self.version(role) else None

    def draft(self, metadata: Metadata[Any]) -> None:
        """Keep a draft, in the place of the one there is."""
        _write(self._drafts / f"{metadata.signed.type}.json", metadata.to_bytes(SERIALIZER))

    def publish(self, metadata: Metadata[Any]) -> None:
        """Put metadata out; its draft is none from then on."""
        role = metadata.signed.type
        _write(self.file(role, metadata.signed.version), metadata.to_bytes(SERIALIZER))
        try:
            (self._drafts / f"{role}.json").unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(f"{self._drafts}: cannot be written: {error.strerror}") from error

    def keep(self, name: str, packed: bytes) -> None:
        """Keep an archive by the name that gateways ask for."""
        _write(self._targets / name, packed)

    def file(self, role: str, version: int) -> Path:
        """Return where a version of a role is."""
        name = f"{role}.json" if role == TIMESTAMP else f"{version}.{role}.json"
        return self._metadata / name


def _number(name: str) -> int:
    head = name.partition(".")[0]
    return int(head) if head.isdecimal() else 0


def _read(file: Path) -> Metadata[Any]:
    try:
        return Metadata.from_bytes(file.read_bytes())
    except (OSError, RepositoryError) as error:
        raise ConfigError(f"{file}: cannot be read: {reason(error)}") from error


def _write(file: Path, data: bytes) -> None:
    draft = file.with_name(f".{file.name}.{secrets.token_hex(6)}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with draft.open("xb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
            draft.replace(file)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written: {error.strerror}") from error
