"""Where the embedded store lives, so that the gateway and every tool on the host find the same one.

The socket's directory is private (0700) and belongs to whoever runs the gateway; the state
directory holds what outlives a restart.
"""

import contextlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from davylamp.errors import ConfigError

STATE_VARIABLE = "DAVYLAMP_STATE"
URL_VARIABLE = "DAVYLAMP_LINEAGE_URL"
_SOCKET = "lineage.sock"
_GATEWAY = "gateway.sock"
_SHARED = Path("/tmp")  # noqa: S108 - what is made there is checked


@dataclass(frozen=True, slots=True)
class Place:
    """The directories of one embedded store."""

    runtime: Path
    state: Path

    @property
    def socket(self) -> Path:
        """The Unix socket of the store."""
        return self.runtime / _SOCKET

    @property
    def gateway(self) -> Path:
        """The Unix socket on which a gateway meets its successor."""
        return self.runtime / _GATEWAY

    @property
    def url(self) -> str:
        """The store's URL."""
        return f"unix://{quote(str(self.socket))}"


def place_under(directory: Path) -> Place:
    """Return the place with everything under one directory, as ``$DAVYLAMP_STATE`` asks for."""
    return Place(directory / "run", directory / "lineage")


def default_place(environment: Mapping[str, str] = os.environ, uid: int | None = None) -> Place:
    """Return where an embedded store is started when nothing else is configured.

    ``$DAVYLAMP_STATE`` if set; for root /run/davylamp and /var/lib/davylamp (as the FHS has it);
    for others the XDG base directories, and without a home a private one in /tmp, which is made
    here. Raises ConfigError where that is another's.
    """
    if chosen := environment.get(STATE_VARIABLE):
        return place_under(Path(chosen).absolute())
    user = os.geteuid() if uid is None else uid
    if user == 0:
        return Place(Path("/run/davylamp"), Path("/var/lib/davylamp/lineage"))
    base = environment.get("XDG_STATE_HOME")
    home = environment.get("HOME")
    state = Path(base) if base else (Path(home) if home else _homeless(user)) / ".local" / "state"
    runtime = environment.get("XDG_RUNTIME_DIR")
    state /= "davylamp"
    return Place(Path(runtime) / "davylamp" if runtime else state, state / "lineage")


def default_url(environment: Mapping[str, str] = os.environ, uid: int | None = None) -> str:
    """Return the URL of the store to talk to when none is given.

    ``$DAVYLAMP_LINEAGE_URL`` if set, else this user's embedded store; where that does not exist
    but root's socket can be reached, root's. Raises ConfigError where it is somebody else's socket
    that was found, which would be told whatever is recorded.
    """
    if url := environment.get(URL_VARIABLE):
        return url
    mine = default_place(environment, uid)
    if STATE_VARIABLE in environment:
        return mine.url
    for place in (mine, default_place({}, 0)):
        owner = _owner(place.socket)
        if owner is None:
            continue
        if owner not in (0, os.geteuid() if uid is None else uid):
            raise ConfigError(
                f"{place.socket} belongs to uid {owner}; name the store to use in {URL_VARIABLE}"
            )
        return place.url
    return mine.url


def _homeless(user: int) -> Path:
    """Return the directory of a user without a home, made for nobody else.

    Everybody may write to /tmp: one that was there already may be a trap.
    """
    path = _SHARED / f"davylamp-{user}"
    with contextlib.suppress(OSError):  # it is there, or cannot be: who needs it will say so
        path.mkdir(mode=0o700)
    try:
        found = path.lstat()
    except OSError:
        return path
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != user or found.st_mode & 0o022:
        raise ConfigError(
            f"{path} is not a directory that uid {user} alone may write; "
            f"set HOME, or {STATE_VARIABLE} to one that is"
        )
    return path


def _owner(path: Path) -> int | None:
    """Return the uid that a file belongs to, None where there is none within reach."""
    try:
        return path.stat().st_uid
    except OSError:
        return None
