"""A lab's directory: what other commands need to find it, enter it and take it down.

    RUNTIME/labs/NAME/                 made first, which claims the name; removed last
        state.json                     LabState
        zone.json                      what the outside DNS answers
        lock, xtables.lock, *.log
        dl-NAME-TOKEN/                 resolv.conf, hosts, nsswitch.conf, bound into every host
            gate -> /                  the way in: every program enters through it

RUNTIME is /run/davylamp for root, $XDG_RUNTIME_DIR/davylamp for others, and
/tmp/davylamp-UID where neither can be written; $DAVYLAMP_RUNTIME_DIR overrides all three.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from davylamp.errors import ConfigError, KernelError
from davylamp.lab.processes import ProcessRef, members
from davylamp.lab.topology import check_name


@dataclass(frozen=True, slots=True)
class HostState:
    """One host: its addresses, the process that holds its namespaces, and its network's inode."""

    name: str
    ipv4: str
    ipv6: str
    holder: ProcessRef
    network: int


@dataclass(frozen=True, slots=True)
class LabState:
    """One lab as written down. ``created`` is in seconds since the epoch.

    A lab that is not ``kept`` ends with its maker. ``hosts`` is empty until their namespaces
    stand; ``services`` are the lab's own programs, by name.
    """

    name: str
    created: float
    kept: bool
    maker: ProcessRef
    hosts: tuple[HostState, ...] = ()
    services: dict[str, ProcessRef] = field(default_factory=dict)


class LabDirectory:
    """One lab's directory, whatever is left of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name

    @classmethod
    def claim(cls, name: str) -> "LabDirectory":
        """Make the directory of a new lab; ConfigError where a lab of the name is up."""
        check_name(name)
        directory = cls(runtime_directory() / name)
        try:
            directory.path.mkdir(mode=0o700)
        except FileExistsError:
            raise ConfigError(
                f"there is a lab {name!r} already: take it down with "
                f"`davylamp lab down --lab {name}`, or name this one differently"
            ) from None
        files = directory.path / f"dl-{name}-{secrets.token_hex(6)}"
        files.mkdir()
        (files / "gate").symlink_to("/")
        return directory

    @property
    def files(self) -> Path:
        """The token directory: the files bound into each host, and by its name their marker."""
        found = sorted(self.path.glob(f"dl-{self.name}-*"))
        if not found:
            raise KernelError(
                f"{self.path} is damaged: run `davylamp lab down --lab {self.name}` to clear it"
            )
        return found[0]

    @property
    def gate(self) -> Path:
        """A link to / that a program's working directory is reached through, once inside.

        Whoever ends the lab removes it before looking for processes. A program on its way in is
        then either inside already, and found, or finds no gate, and does not start.
        """
        return self.files / "gate"

    def close_gate(self) -> None:
        """Let no further program start in the lab."""
        for gate in self.path.glob(f"dl-{self.name}-*/gate"):
            gate.unlink(missing_ok=True)

    @property
    def zone(self) -> Path:
        """The zone file of the outside DNS."""
        return self.path / "zone.json"

    @property
    def xtables_lock(self) -> Path:
        """The lock file that iptables uses in the lab's hosts, instead of the real /run's."""
        return self.path / "xtables.lock"

    def load(self) -> LabState | None:
        """Return the state, or None where none was written or it cannot be read."""
        try:
            return msgspec.json.decode((self.path / "state.json").read_bytes(), type=LabState)
        except (OSError, msgspec.DecodeError):
            return None

    def save(self, state: LabState) -> None:
        """Replace the state; readers see the old one or the new one, whole."""
        replace(self.path / "state.json", msgspec.json.encode(state))

    def processes(self) -> set[int]:
        """Return the pids of every process of the lab, also of one that is half built."""
        state = self.load()
        networks = {host.network for host in state.hosts} if state else set[int]()
        # More than one token directory cannot come about by itself, but costs nothing to serve.
        markers = [path.name for path in self.path.glob(f"dl-{self.name}-*")]
        return set[int]().union(*(members(marker, networks) for marker in markers))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lab's lock for the time of the block, for read-modify-write."""
        with (self.path / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def remove(self) -> None:
        """Remove the directory and all that is in it; the name is free afterwards."""
        shutil.rmtree(self.path, ignore_errors=True)


def directories() -> list[LabDirectory]:
    """Return the directories of this user's labs, by name."""
    root = runtime_directory()
    return [LabDirectory(path) for path in sorted(root.iterdir()) if path.is_dir()]


def find(name: str) -> LabDirectory:
    """Return the directory of the lab of that name; ConfigError where there is none."""
    check_name(name)
    directory = LabDirectory(runtime_directory() / name)
    if not directory.path.is_dir():
        raise ConfigError(
            f"there is no lab {name!r}: `davylamp lab up --lab {name}` makes one, "
            f"`davylamp lab list` shows those there are"
        )
    return directory


def runtime_directory() -> Path:
    """Return the directory of labs, made if need be and certain to be this user's own."""
    refusals = []
    for base in _candidates():
        path = base / "labs"
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if all(_private(part) for part in (base, path)):
                return path
            refusals.append(f"{base} belongs to someone else or others may write to it")
        except OSError as error:
            refusals.append(str(error))
    raise KernelError(
        f"no place for a lab's state ({'; '.join(refusals)}): "
        f"set DAVYLAMP_RUNTIME_DIR to a directory of yours"
    )


def replace(path: Path, data: bytes) -> None:
    """Write a file so that no reader, and no crash, ever leaves half of it."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _candidates() -> Iterator[Path]:
    if chosen := os.environ.get("DAVYLAMP_RUNTIME_DIR"):
        yield Path(chosen).absolute()
        return
    if os.geteuid() == 0:
        yield Path("/run/davylamp")
    elif user := os.environ.get("XDG_RUNTIME_DIR"):
        yield Path(user) / "davylamp"
    yield Path(f"/tmp/davylamp-{os.geteuid()}")  # noqa: S108 - ownership is checked


def _private(path: Path) -> bool:
    stat = path.lstat()
    return path.is_dir() and stat.st_uid == os.geteuid() and not stat.st_mode & 0o022
