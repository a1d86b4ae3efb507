"""The folder of installed packs: archives that are never changed, and the state that names one.

Strategy: an archive is written under another name, synced, and renamed; then the state is written
the same way. What is in force is the one name in the one file, so whenever the power goes there is
exactly one whole pack, the old or the new. Loading reads the archive with its digests again. All
changes of the state are made under a lock of its file, by whichever process.
"""

import contextlib
import fcntl
import hashlib
import os
import secrets
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Self

from davylamp import paths
from davylamp.errors import PackError
from davylamp.updates.loading import PackSource
from davylamp.updates.state import SHIPPED, InstalledPack, Selection, State, Step

type Fault = Callable[[Step], None]
"""Called after each step; a test ends the process in it."""

_ARCHIVES = "archives"
_STATE = "state.json"
_SUFFIX = ".tar.gz"
_KEPT = 5
"""Archives that are kept beside those that the state names."""


def no_fault(_step: Step) -> None:
    """Go on."""


class Lock:
    """A lock that is held; a context manager."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let it go."""
        os.close(self._descriptor)


class Store:
    """One folder; any number of processes may use it at once."""

    def __init__(self, folder: Path, local: str = "", fault: Fault = no_fault) -> None:
        self.folder = folder
        self.local = local or str(folder / "local")
        """Where the site's own signatures are."""
        self.fault = fault

    # --- state ------------------------------------------------------------------------------

    def state(self) -> State:
        """Return what is in force; raise PackError when the file cannot be used."""
        file = self.folder / _STATE
        try:
            data = file.read_bytes()
        except FileNotFoundError:
            return State()
        except OSError as error:
            raise PackError(f"{file}: cannot be read: {error.strerror}") from error
        return State.parse(data, str(file))

    def stamp(self) -> tuple[int, int]:
        """Return what differs after every change of the state; zeros where there is none."""
        try:
            status = (self.folder / _STATE).stat()
        except OSError:
            return (0, 0)
        return (status.st_ino, status.st_mtime_ns)

    def change(self, changed: Callable[[State], State]) -> State:
        """Replace the state by what ``changed`` makes of it; whatever that raises changes nothing.

        Raises PackError when the folder cannot be written.
        """
        lock = self.lock("state.lock", wait=True)
        assert lock is not None
        with lock:
            state = changed(self.state())
            _put(self._write(_STATE, state.encode(), Step.DRAFTED), self.folder / _STATE)
        self.fault(Step.DECIDED)
        return state

    # --- archives ---------------------------------------------------------------------------

    def add(self, identity: str, packed: bytes) -> None:
        """Keep an archive; it is there whole or not at all."""
        archives = self._made(self.folder / _ARCHIVES)
        _put(self._write(identity, packed, Step.WRITTEN), archives / (identity + _SUFFIX))
        self.fault(Step.STORED)

    def installed(self) -> tuple[InstalledPack, ...]:
        """Return what can be put in force, newest first by number."""
        found = []
        for file in (self.folder / _ARCHIVES).glob(f"*{_SUFFIX}"):
            identity = file.name.removesuffix(_SUFFIX)
            name, _, number = identity.rpartition("-")
            if name and number.isdecimal():
                found.append(InstalledPack(identity, name, int(number), str(file)))
        return tuple(sorted(found, key=lambda one: (one.name, -one.number)))

    def find(self, identity: str) -> InstalledPack:
        """Return the installed pack of that identity; raise PackError naming those there are."""
        for one in self.installed():
            if one.identity == identity:
                return one
        known = ", ".join(one.identity for one in self.installed()) or "none"
        raise PackError(f"{identity} is not installed; there are: {known}")

    def holds(self, selection: Selection) -> bool:
        """Tell whether the archive of a selection is here as it was installed."""
        if selection.pack == SHIPPED:
            return True
        with contextlib.suppress(OSError):
            data = Path(self.source(selection).path).read_bytes()
            return hashlib.sha256(data).hexdigest() == selection.sha256
        return False

    def source(self, selection: Selection) -> PackSource:
        """Return where a selection is read from."""
        file = self.folder / _ARCHIVES / (selection.pack + _SUFFIX)
        shipped = selection.pack == SHIPPED
        return PackSource(
            path=str(paths.SIGNATURES / "core" if shipped else file),
            sha256="" if shipped else selection.sha256,
            disabled=selection.disabled,
            enabled=selection.enabled,
            local=self.local,
        )

    def tidy(self) -> None:
        """Remove what an interrupted installation left, and old archives nobody names.

        For whoever holds the lock of installations.
        """
        lock = self.lock("state.lock", wait=True)
        assert lock is not None
        with lock:
            self._tidy(self.state())

    def _tidy(self, state: State) -> None:
        named = {state.in_force.pack, (state.last_good or Selection()).pack}
        if state.candidate is not None:
            named.add(state.candidate.selection.pack)
        kept: Counter[str] = Counter()
        for one in self.installed():
            kept[one.name] += 1
            if kept[one.name] > _KEPT and one.identity not in named:
                Path(one.file).unlink(missing_ok=True)
        for draft in self.folder.glob(".*.draft"):
            draft.unlink(missing_ok=True)

    # --- locks ------------------------------------------------------------------------------

    def lock(self, name: str, *, wait: bool) -> "Lock | None":
        """Take one of the folder's locks, to be held until closed; None if it is another's.

        The kernel releases it when the process ends, however it ends. Raises PackError when the
        folder cannot be written.
        """
        self._made(self.folder)
        try:
            descriptor = os.open(self.folder / name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise PackError(f"{self.folder}: cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(descriptor)
            return None
        return Lock(descriptor)

    def _write(self, name: str, data: bytes, step: Step) -> Path:
        draft = self._made(self.folder) / f".{name}.{secrets.token_hex(6)}.draft"
        try:
            with open(draft, "xb", opener=_private) as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise PackError(f"{self.folder}: cannot be written: {error.strerror}") from error
        self.fault(step)
        return draft

    def _made(self, folder: Path) -> Path:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise PackError(f"{folder}: cannot be made: {error.strerror}") from error
        return folder


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _put(draft: Path, file: Path) -> None:
    """Put a draft in its place, for good; raise PackError when the folder refuses it."""
    try:
        draft.replace(file)
        _sync_folder(file.parent)
    except OSError as error:
        raise PackError(f"{file}: cannot be written: {error.strerror}") from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
