"""Who may go straight to the Internet, and who goes through the proxies that open TLS.

Strategy. A sandbox asks one of the site's resolvers for a trusted name; the answer ties that name,
for that sandbox and for a time, to an address, before the first SYN can be sent. What goes to such
an address takes the kernel's road. A ClientHello on that road must ask for the very name that the
address was given out for: a trusted server may serve others too (RFC 9325 section 3.7 has what is
called fronting). All other TLS belongs to the proxies. Where it set out on the kernel's road, on a
port that nobody expected TLS on, or to a trusted address with another's name, the flow is refused
before its ClientHello is delivered, and the next attempt is led to the proxies.

Only what resolvers of the site say counts: a sandbox can ask a server of its own anything. Who asks
over IPv4 for an IPv6 address cannot be told from others when he uses it: such an address is bound
for all sandboxes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from davylamp.decision import NameBinding
from davylamp.flow import FlowKey
from davylamp.inspection.wire.dns import DnsMessage
from davylamp.inspection.wire.tls import ClientHello
from davylamp.policy import Network, within

_LONGEST = 86_400.0  # seconds; no answer binds for more than a day
MAX_BINDINGS = 64
"""Bindings that one answer may make."""


class TrustedNames:
    """Names whose TLS is not opened: each stands for itself and for all names below it."""

    __slots__ = ("_names",)

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = frozenset(normal(name.removeprefix("*")) for name in names)

    def __bool__(self) -> bool:
        """Whether any name is trusted."""
        return bool(self._names)

    def trusts(self, name: str) -> bool:
        """Tell whether a name is trusted, whatever its case."""
        name = normal(name)
        while name:
            if name in self._names:
                return True
            name = name.partition(".")[2]
        return False


def normal(name: str) -> str:
    """Return a name as it is compared: lower-case, without the root's dot or a leading one."""
    return name.lower().strip(".")


class Bindings(Protocol):
    """What is known of names given out; the shell keeps it, and forgets it in time."""

    def bound(self, orig_addr: bytes, resp_addr: bytes, name: str) -> bool:
        """Tell whether a sandbox was told that this name is at this address."""
        ...


@dataclass(frozen=True, slots=True)
class SteeringPolicy:
    """What a site trusts.

    ``resolvers`` are packed addresses. ``inside`` are the sandboxes' networks, ``exempt`` those
    that are never led to the proxies. A binding is good for its time to live, but for
    ``binding_seconds`` at least: programs keep addresses longer than they were told to.
    """

    trusted: TrustedNames = field(default_factory=TrustedNames)
    resolvers: frozenset[bytes] = frozenset()
    inside: tuple[Network, ...] = ()
    exempt: tuple[Network, ...] = ()
    ports: frozenset[int] = frozenset({80, 443})
    binding_seconds: float = 600.0

    def bindings(self, message: DnsMessage, key: FlowKey) -> tuple[NameBinding, ...]:
        """Return what an answer binds, given the flow with the asker as its originator."""
        if not (self.trusted and message.is_response and key.resp_addr in self.resolvers):
            return ()
        found: list[NameBinding] = []
        for one in message.bindings():
            if self.trusted.trusts(one.name):
                same = len(one.address) == len(key.orig_addr)
                asker = key.orig_addr if same else bytes(len(one.address))
                seconds = min(max(one.ttl, self.binding_seconds), _LONGEST)
                found.append(NameBinding(asker, one.address, normal(one.name), seconds))
            if len(found) == MAX_BINDINGS:
                break
        return tuple(found)

    def vouches(self, key: FlowKey, hello: ClientHello, bindings: Bindings) -> bool:
        """Tell whether a flow asks for a trusted name at an address given out for that name."""
        name = hello.sni
        return self.trusted.trusts(name) and bindings.bound(
            key.orig_addr, key.resp_addr, normal(name)
        )

    def objection(self, key: FlowKey, hello: ClientHello) -> str:
        """Return why a flow that nothing vouches for must not stay on the kernel's road, if so."""
        if not within(key.orig_addr, self.inside) or within(key.resp_addr, self.exempt):
            return ""
        name = hello.sni
        asked = f"the name {name!r}" if name else "no name"
        if key.resp_port in self.ports:
            return f"fronting: TLS asks for {asked} at an address that was given out for another"
        return f"TLS on port {key.resp_port} asks for {asked}, which nobody vouched for"
