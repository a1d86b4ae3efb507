"""The road a user-space TCP takes: which interface and MAC, the packet socket, the kernel's RST.

The kernel knows nothing of a connection made here and would answer the peer's SYN with a reset,
so an nftables rule in this namespace drops resets of exactly this four-tuple; what is written to
the packet socket does not pass nftables' output hook, so our own packets always leave as built.
"""

import contextlib
import ipaddress
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

from davylamp.errors import KernelError
from davylamp.lab.programs.packets import Ends, pack

_RESOLVE_SECONDS = 3.0
_MAX_PACKET = 1 << 17


@dataclass(frozen=True, slots=True)
class Road:
    """How packets leave: the interface, the next hop's MAC, and our source address."""

    interface: str
    mac: bytes
    source: str


def find_road(target: str, source: str | None = None) -> Road:
    """Return the kernel's route and next hop; raise KernelError where there is none."""
    selector = ["from", source] if source else []
    routes = _ip("route", "get", target, *selector)
    if not routes or "dev" not in routes[0]:
        raise KernelError(f"no route to {target} in this network namespace; add one")
    route = routes[0]
    interface, hop = route["dev"], route.get("gateway", target)
    if interface == "lo":
        raise KernelError(f"{target} is on loopback: the kernel drops packets made by hand there")
    mac = _neighbour(hop, interface)
    return Road(interface, mac, source or route.get("prefsrc") or route["src"])


def _neighbour(hop: str, interface: str) -> bytes:
    family = socket.AF_INET6 if ":" in hop else socket.AF_INET
    until = time.monotonic() + _RESOLVE_SECONDS
    while time.monotonic() < until:
        # Any datagram makes the kernel resolve the next hop; port 9 is discard (RFC 863).
        with socket.socket(family, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
            scope = socket.if_nametoindex(interface)
            where = (hop, 9, 0, scope) if family == socket.AF_INET6 else (hop, 9)
            probe.sendto(b"", where)
        time.sleep(0.02)
        for entry in _ip("neigh", "show", "to", hop, "dev", interface):
            if "lladdr" in entry:
                return bytes.fromhex(entry["lladdr"].replace(":", ""))
    raise KernelError(f"{hop} on {interface} does not answer; is the other host up?")


def _ip(*arguments: str) -> list[dict[str, str]]:
    done = subprocess.run(["ip", "-json", *arguments], capture_output=True, text=True, check=False)
    if done.returncode or not done.stdout.strip():
        return []
    found: list[dict[str, str]] = json.loads(done.stdout)
    return found


class PacketSocket:
    """Sends IP packets to the next hop and receives what the interface gets."""

    def __init__(self, road: Road, ends: Ends) -> None:
        self._address = (road.interface, ends.ethertype, 0, 0, road.mac)
        try:
            # SOCK_DGRAM: the kernel writes and strips the link-layer header.
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
            self._socket.bind((road.interface, ends.ethertype))
        except PermissionError as error:
            raise KernelError("raw packets need root in this namespace (CAP_NET_RAW)") from error

    def send(self, packet: bytes) -> None:
        """Send one IP packet, whatever it looks like."""
        self._socket.sendto(packet, self._address)

    def receive(self, timeout: float) -> bytes | None:
        """Return the next packet for us, or None when ``timeout`` seconds have passed."""
        until = time.monotonic() + timeout
        while (left := until - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                packet, address = self._socket.recvfrom(_MAX_PACKET)
            except TimeoutError:
                return None
            if address[2] == socket.PACKET_HOST:
                return packet
        return None

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


@contextlib.contextmanager
def kernel_resets_dropped(ends: Ends) -> Iterator[None]:
    """Keep the kernel of this namespace from resetting our connection, while inside.

    Raises KernelError where nft refuses.
    """
    table = f"dl_rawtcp_{os.getpid()}"
    family = "ip6" if ends.v6 else "ip"
    theirs = ipaddress.ip_address(ends.theirs)
    _nft(
        f"table inet {table} {{ chain out {{ type filter hook output priority -300;"
        f" {family} daddr {theirs} tcp sport {ends.our_port} tcp dport {ends.their_port}"
        " tcp flags & rst == rst drop; }; }"
    )
    try:
        yield
    finally:
        _nft(f"delete table inet {table}")


def _nft(rules: str) -> None:
    done = subprocess.run(
        ["nft", "-f", "-"], input=rules, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise KernelError(f"nft refused a rule: {done.stderr.strip()[:300]}")


def make_ends(road: Road, our_port: int, target: str, their_port: int) -> Ends:
    """Return the connection's ends; raise ValueError where an address is none."""
    return Ends(pack(road.source), our_port, pack(target), their_port)
