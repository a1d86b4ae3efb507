"""A lab whose gateway opens TLS and HTTP in its mitmproxy workers, and an authority it trusts."""

from dataclasses import dataclass, field
from pathlib import Path

from tests.gateway.conftest import Build
from tests.gateway.world import World

from davylamp.interception.ca import CERTIFICATE_FILE
from davylamp.lab.programs.certs import Authority, Leaf

FIRST, WORKERS = 19080, 2
PORTS = (80, 443, 3333)

_REDIRECT = f"""
table inet dl-test-redirect {{
  chain prerouting {{
    type nat hook prerouting priority dstnat
    iifname "br-train" tcp dport {{ {", ".join(map(str, PORTS))} }} \
      redirect to :numgen inc mod 2 map {{ 0 : {FIRST}, 1 : {FIRST + 1} }}
  }}
}}
"""


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
        return self.world.gateway.directory / "state" / "ca" / CERTIFICATE_FILE

    def leaf(self, *names: str) -> Leaf:
        """Issue a certificate that the gateway has reason to trust."""
        return self.site.issue(names)

    def workers(self) -> tuple[int, ...]:
        """Return the pids of the gateway's mitmproxy workers."""
        found = []
        for pid in self.world.lab._directory.processes():
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"davylamp.interception" in words:
                found.append(pid)
        return tuple(found)


def opened(build: Build, site: Authority, **changes: object) -> Opened:
    """Build it; ``changes`` are the gateway's configuration."""
    intercept = {"enabled": True, "workers": WORKERS, "first_port": FIRST}
    found = Opened(build(intercept=intercept, **changes), site)
    rules = found.world.directory / "redirect.nft"
    rules.write_text(_REDIRECT)
    found.world.nft("-f", str(rules))
    return found
