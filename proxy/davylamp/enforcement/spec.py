"""The settings of the kernel's side: which traffic is judged, by how many queues, at what rates."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from davylamp.errors import ConfigError
from davylamp.marks import MarkField

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_INTERFACE = re.compile(r"[A-Za-z0-9_.-]{1,15}|[A-Za-z0-9_.-]{1,14}\*")


class ExceptionPolicy(StrEnum):
    """What becomes of packets that no one judges, because the gateway is down."""

    FAIL_CLOSED = "fail-closed"
    FAIL_OPEN = "fail-open"


@dataclass(frozen=True, slots=True)
class Rate:
    """A token bucket: packets a second, and how many may come at once."""

    per_second: int
    burst: int

    def __post_init__(self) -> None:
        if self.per_second < 1 or self.burst < 1:
            raise ConfigError(
                f"rate {self.per_second}/s burst {self.burst}: both must be 1 or more"
            )


@dataclass(frozen=True, slots=True)
class Features:
    """What this kernel can do of what the ruleset would like (:mod:`.features` tries each).

    ``native_queue``: nft has the queue statement. ``inner_header``: nft sees payload (``@ih``,
    Linux 5.16). ``flow_limits``: dynamic sets keyed on ``ct id``. ``random``: nft's numgen.
    Without one the ruleset looks at more than it would have to, never at less. ``option_reset``:
    nft takes TCP options out (Linux 5.18, nft 1.0.2); without it MPTCP is let be.
    ``own_addresses``: nft's fib; without it TLS to the gateway's own services is led to the
    proxies as well.
    """

    native_queue: bool = True
    inner_header: bool = True
    flow_limits: bool = True
    random: bool = True
    option_reset: bool = True
    own_addresses: bool = True


@dataclass(frozen=True, slots=True)
class SteeringSpec:
    """Who is led to the proxies, on ``proxies`` ports from ``first_port`` on.

    ``ports`` are those of TLS and HTTP. ``resolvers`` are whose answers are believed, ``exempt``
    the networks that are never led anywhere. ``refuses_dns`` refuses other resolvers and DNS inside
    TLS; ``redirects_dns`` has the first resolver answer in the others' place, on port 53.
    """

    first_port: int
    proxies: int = 1
    ports: frozenset[int] = frozenset({80, 443})
    resolvers: tuple[Network, ...] = ()
    exempt: tuple[Network, ...] = ()
    refuses_quic: bool = True
    refuses_dns: bool = False
    redirects_dns: bool = False

    @property
    def last_port(self) -> int:
        """The port of the last proxy."""
        return self.first_port + self.proxies - 1


@dataclass(frozen=True, slots=True)
class RulesetSpec:
    """Which traffic is judged, and how; every field is a setting of the gateway.

    ``sandbox_interfaces`` may end in ``*``. Traffic is judged when it comes from or goes to one of
    the interfaces or one of the subnets. ``queues`` NFQUEUEs are used from ``first_queue`` on; the
    kernel sends both directions of an address pair to the same one. ``drop_invalid`` drops TCP
    packets that fit no connection, out of its window for one, or that come before the first byte of
    what the originator sends. ``sample_after`` is how many packets a flow has carried, both ways,
    before it is sampled. Without ``steering`` nothing is led to proxies.
    """

    sandbox_interfaces: tuple[str, ...] = ()
    sandbox_subnets: tuple[str, ...] = ()
    table: str = "davylamp"
    first_queue: int = 0
    queues: int = 1
    exception_policy: ExceptionPolicy = ExceptionPolicy.FAIL_CLOSED
    drop_invalid: bool = False
    marks: MarkField = field(default_factory=MarkField)
    triggers: Rate = Rate(50, 100)
    sample: Rate = Rate(2, 4)
    sample_after: int = 16
    sample_group: int = 5
    sample_bytes: int = 2048
    sample_threshold: int = 16
    steering: SteeringSpec | None = None

    def __post_init__(self) -> None:
        if not self.sandbox_interfaces and not self.sandbox_subnets:
            raise ConfigError("name at least one sandbox interface or sandbox subnet to watch")
        if not _NAME.fullmatch(self.table):
            raise ConfigError(f"{self.table!r} cannot name an nft table; write letters, digits, _")
        for name in self.sandbox_interfaces:
            if not _INTERFACE.fullmatch(name):
                raise ConfigError(f"{name!r} cannot be a network interface's name")
        networks_of(self.sandbox_subnets)
        if self.queues < 1 or not 0 <= self.first_queue <= 65536 - self.queues:
            raise ConfigError(f"queues {self.first_queue} to {self.last_queue} are not in 0-65535")
        if self.sample_after < 1:
            raise ConfigError(f"sample_after {self.sample_after}: write 1 or more packets")
        if not 0 <= self.sample_group <= 65535:
            raise ConfigError(f"NFLOG group {self.sample_group} is not in 0-65535")

    @property
    def last_queue(self) -> int:
        """The number of the last queue."""
        return self.first_queue + self.queues - 1

    @property
    def comment(self) -> str:
        """What marks an iptables rule as this gateway's."""
        return f"davylamp:{self.table}"


def networks_of(subnets: Sequence[str]) -> tuple[Network, ...]:
    """Return subnets as networks; raise ConfigError naming the one that is not a subnet."""
    networks: list[Network] = []
    for subnet in subnets:
        try:
            networks.append(ipaddress.ip_network(subnet))
        except ValueError as error:
            raise ConfigError(f"sandbox subnet: {error}; write 10.88.0.0/16") from error
    return tuple(networks)
