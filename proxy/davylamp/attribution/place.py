"""Where the embedded store lives, so that the gateway and every tool on the host find the same one.

The socket's directory is private (0700) and belongs to whoever runs the gateway; the state
directory holds what outlives a restart.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

STATE_VARIABLE = "DAVYLAMP_STATE"
URL_VARIABLE = "DAVYLAMP_LINEAGE_URL"
_SOCKET = "lineage.sock"
_GATEWAY = "gateway.sock"


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
    for others the XDG base directories.
    """
    if chosen := environment.get(STATE_VARIABLE):
        return place_under(Path(chosen).absolute())
    if (os.geteuid() if uid is None else uid) == 0:
        return Place(Path("/run/davylamp"), Path("/var/lib/davylamp/lineage"))
    home = Path(environment.get("HOME") or f"/tmp/davylamp-{os.geteuid()}")  # noqa: S108 - made 0700, ownership checked
    state = Path(environment.get("XDG_STATE_HOME") or home / ".local" / "state") / "davylamp"
    runtime = environment.get("XDG_RUNTIME_DIR")
    return Place(Path(runtime) / "davylamp" if runtime else state, state / "lineage")


def default_url(environment: Mapping[str, str] = os.environ, uid: int | None = None) -> str:
    """Return the URL of the store to talk to when none is given.

    ``$DAVYLAMP_LINEAGE_URL`` if set, else this user's embedded store; where that does not exist
    but root's socket can be reached, root's.
    """
    if url := environment.get(URL_VARIABLE):
        return url
    mine = default_place(environment, uid)
    system = default_place({}, 0)
    if STATE_VARIABLE not in environment and not _exists(mine.socket) and _exists(system.socket):
        return system.url
    return mine.url


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return False
