"""A lab whose gateway opens TLS and HTTP in its mitmproxy workers, and an authority it trusts."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.gateway.conftest import Build
from tests.gateway.world import World

from davylamp.interception.ca import CERTIFICATE_FILE
from davylamp.lab.programs.certs import Authority, Leaf

FIRST, WORKERS = 19080, 2
INTERCEPT: dict[str, Any] = {
    "enabled": True,
    "workers": WORKERS,
    "first_port": FIRST,
    "ports": [80, 443, 3333, 14433],
}


@dataclass(frozen=True)
class Opened:
    """The world, and ``site``, whose certificates the gateway's host takes for good.

    ``flows`` are for tests to keep in mind whose alerts they have looked at.
    """

    world: World
    site: Authority
    flows: set[int] = field(default_factory=set)

    @property
    def authority(self) -> Path:
        """The certificate that this gateway's clients are to trust."""
        return authority(self.world)

    def leaf(self, *names: str) -> Leaf:
        """Issue a certificate that the gateway has reason to trust."""
        return self.site.issue(names)

    def workers(self) -> set[int]:
        """Return the pids of the gateway's mitmproxy workers."""
        return mitmproxies(self.world)


def mitmproxies(world: World) -> set[int]:
    """Return the pids of the gateway's mitmproxy workers."""
    found = set()
    for pid in world.lab._directory.processes():
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"davylamp.interception" in words:
            found.add(pid)
    return found


def authority(world: World) -> Path:
    """Return the certificate that clients of this gateway are to trust."""
    return world.gateway.directory / "state" / "ca" / CERTIFICATE_FILE


def opened(build: Build, site: Authority, **changes: object) -> Opened:
    """Build it; ``changes`` are the gateway's configuration."""
    return Opened(build(**{"intercept": INTERCEPT, **changes}), site)
