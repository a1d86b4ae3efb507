"""What a lab is made of, and the addresses and routes that make it one: no I/O here.

    sandbox-1 ... sandbox-N          gateway                      outside
    eth0 10.90.0.11 ...  --- br-train 10.90.0.1   up0 203.0.113.1 --- eth0 203.0.113.2, .53, ...
         fd00:90::11              fd00:90::1          2001:db8::1          2001:db8::2, ::53, ...

Nothing is translated: the outside host sees the sandboxes' own addresses, as a gateway on the
training bridge does. 203.0.113.0/24 and 2001:db8::/32 are documentation prefixes (RFC 5737 and
RFC 3849), so nothing in a lab can be mistaken for, or reach, a real host.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from types import MappingProxyType

from davylamp.errors import ConfigError

GATEWAY = "gateway"
OUTSIDE = "outside"
BRIDGE = "br-train"
UPLINK = "up0"

SANDBOX_NETWORKS = (ip_network("10.90.0.0/24"), ip_network("fd00:90::/64"))
OUTSIDE_NETWORKS = (ip_network("203.0.113.0/24"), ip_network("2001:db8::/64"))
GATEWAY_INSIDE = ("10.90.0.1", "fd00:90::1")
GATEWAY_UPLINK = ("203.0.113.1", "2001:db8::1")
OUTSIDE_MAIN = ("203.0.113.2", "2001:db8::2")
DNS_ADDRESSES = ("203.0.113.53", "2001:db8::53")

MAX_SANDBOXES = 200
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,29}[a-z0-9])?")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_DNS_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\.?", re.IGNORECASE)

POOL = ("203.0.113.10", "2001:db8::10")
SITES = ("203.0.113.20", "2001:db8::20")

DEFAULT_OUTSIDE = (*POOL, "203.0.113.11", "2001:db8::11", *SITES, "203.0.113.21", "2001:db8::21")
DEFAULT_ZONE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "pool.example": POOL,
        "pool2.example": ("203.0.113.11", "2001:db8::11"),
        "xmr-eu1.nanopool.org": POOL,
        "www.example": SITES,
        "git.example": SITES,
        "api.example": ("203.0.113.21", "2001:db8::21"),
    }
)


@dataclass(frozen=True, slots=True)
class LabSpec:
    """What to build.

    ``zone`` maps a DNS name to what the outside DNS answers: IPv4 and IPv6 addresses, or one other
    name (a CNAME). Every other name is NXDOMAIN. ``outside_addresses`` are those that the outside
    host carries beside its own; programs there may listen on any of them.
    """

    name: str
    sandboxes: int = 3
    zone: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: DEFAULT_ZONE)
    outside_addresses: tuple[str, ...] = DEFAULT_OUTSIDE

    def check(self) -> None:
        """Raise ConfigError where the lab cannot be built as written."""
        check_name(self.name)
        if not 1 <= self.sandboxes <= MAX_SANDBOXES:
            raise ConfigError(
                f"a lab has 1 to {MAX_SANDBOXES} sandboxes, not {self.sandboxes}: choose fewer"
            )
        for address in self.outside_addresses:
            _check_outside(address)
        for name, values in self.zone.items():
            check_record(name, values)


@dataclass(frozen=True, slots=True)
class Plan:
    """One host as it will be: its name, and the address others know it by in each family."""

    name: str
    ipv4: str
    ipv6: str


def check_name(name: str) -> None:
    """Raise ConfigError unless the name can be a lab's (it becomes a directory and host names)."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"a lab's name is 1 to 31 of a-z, 0-9 and inner hyphens, not {name!r}: choose another"
        )


def check_record(name: str, values: tuple[str, ...]) -> None:
    """Raise ConfigError unless the zone entry is addresses, or exactly one other name."""
    if not _DNS_NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is not a DNS name: write it like pool.example")
    names = [value for value in values if not is_address(value)]
    if not values or (names and len(values) > 1) or not all(map(_DNS_NAME.fullmatch, names)):
        raise ConfigError(
            f"{name} maps to {list(values)}: give one or more addresses, or one other name"
        )


def is_address(text: str) -> bool:
    """Say whether the text is an IPv4 or IPv6 address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def plan(spec: LabSpec) -> tuple[Plan, ...]:
    """Return the lab's hosts: the gateway, the outside host, then the sandboxes in order."""
    sandboxes = (
        # Decimal digits in both: sandbox-1 is 10.90.0.11 and fd00:90::11, easy to match by eye.
        Plan(f"sandbox-{n}", f"10.90.0.{10 + n}", f"fd00:90::{10 + n}")
        for n in range(1, spec.sandboxes + 1)
    )
    return Plan(GATEWAY, *GATEWAY_INSIDE), Plan(OUTSIDE, *OUTSIDE_MAIN), *sandboxes


def gateway_batch(peers: Mapping[str, int]) -> str:
    """Return ``ip -batch`` input that builds the bridge and every cable, in the gateway.

    ``peers`` maps each other host's name to a process in its network namespace: the far end of a
    cable is made there at once, so no interface ever shows in the caller's own namespace.
    """
    lines = [
        f"link add {BRIDGE} type bridge stp_state 0 mcast_snooping 0",
        f"link set {BRIDGE} up",
        f"link add {UPLINK} type veth peer name eth0 netns {peers[OUTSIDE]}",
        f"link set {UPLINK} up",
    ]
    for name, pid in peers.items():
        if name != OUTSIDE:
            port = name.replace("sandbox-", "sb-")
            lines += [
                f"link add {port} type veth peer name eth0 netns {pid}",
                f"link set {port} master {BRIDGE} up",
            ]
    lines += _addresses(BRIDGE, GATEWAY_INSIDE) + _addresses(UPLINK, GATEWAY_UPLINK)
    lines += [f"route add default via {OUTSIDE_MAIN[0]}", f"route add ::/0 via {OUTSIDE_MAIN[1]}"]
    return "\n".join(lines) + "\n"


def host_batch(host: Plan, spec: LabSpec) -> str:
    """Return ``ip -batch`` input for the far end of a cable: addresses and routes of the host."""
    lines = ["link set eth0 up"]
    if host.name == OUTSIDE:
        own = dict.fromkeys((*OUTSIDE_MAIN, *DNS_ADDRESSES, *spec.outside_addresses))
        lines += _addresses("eth0", tuple(own))
        # Only the sandboxes, no default: an unknown address must not bounce to and fro.
        lines += [
            f"route add {network} via {via}"
            for network, via in zip(SANDBOX_NETWORKS, GATEWAY_UPLINK, strict=True)
        ]
    else:
        lines += _addresses("eth0", (host.ipv4, host.ipv6))
        lines += [
            f"route add default via {GATEWAY_INSIDE[0]}",
            f"route add ::/0 via {GATEWAY_INSIDE[1]}",
        ]
    return "\n".join(lines) + "\n"


def hosts_file(hosts: tuple[Plan, ...]) -> str:
    """Return the lab's /etc/hosts: the loopback and the lab's own hosts."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost"]
    lines += [f"{address} {host.name}" for host in hosts for address in (host.ipv4, host.ipv6)]
    return "\n".join(lines) + "\n"


def resolv_conf() -> str:
    """Return the lab's /etc/resolv.conf: the outside DNS over IPv4, then IPv6."""
    servers = "".join(f"nameserver {address}\n" for address in DNS_ADDRESSES)
    return servers + "options timeout:2 attempts:2\n"


def nsswitch_conf(real: str) -> str:
    """Return the host's nsswitch.conf with names looked up in files and DNS only.

    With systemd-resolved's ``resolve`` in the line, lookups would go over a Unix socket to the
    real host's resolver: out of the lab, past the gateway.
    """
    kept = [line for line in real.splitlines() if not line.strip().startswith("hosts:")]
    return "\n".join([*kept, "hosts: files dns"]) + "\n"


def _addresses(link: str, addresses: tuple[str, ...]) -> list[str]:
    return [f"address add {_with_prefix(address)} dev {link}" for address in addresses]


def _with_prefix(text: str) -> str:
    address = ip_address(text)
    networks = (*SANDBOX_NETWORKS, *OUTSIDE_NETWORKS)
    length = next((n.prefixlen for n in networks if address in n), address.max_prefixlen)
    # Without "nodad" an IPv6 address is tentative, and unusable, for its first second.
    return f"{address}/{length}" + (" nodad" if address.version == 6 else "")


def _check_outside(text: str) -> None:
    if not is_address(text):
        raise ConfigError(f"{text!r} is no address: write one like 203.0.113.10 or 2001:db8::10")
    address = ip_address(text)
    if text in GATEWAY_UPLINK or any(address in network for network in SANDBOX_NETWORKS):
        raise ConfigError(
            f"{text} belongs to the gateway or the sandboxes: choose one in {OUTSIDE_NETWORKS[0]}"
        )
