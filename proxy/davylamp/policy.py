"""Findings to verdicts: what this site does about what was seen.

A verdict blocks on a *conclusive* finding: a stable signature whose confidence reaches the
policy's threshold. It blocks as well where the stable findings of a flow reach it together
(`davylamp.fusion`). Anything weaker alerts. In observe mode nothing is blocked, and the verdict
says what would have been.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from types import MappingProxyType

from davylamp.events import Action
from davylamp.flow import FlowKey
from davylamp.fusion import Sum, counts
from davylamp.inspection.finding import AppProto, Finding
from davylamp.signatures.model import Category, Kind, Maturity

type Network = IPv4Network | IPv6Network

_SHARED = frozenset({Category.POOL, Category.RESOLVER})
_NOTHING = Sum()
_SEVERAL = 2


class Mode(StrEnum):
    """``OBSERVE`` reports; ``ENFORCE`` also blocks."""

    OBSERVE = "observe"
    ENFORCE = "enforce"


DEFAULT_ACTIONS: Mapping[Category, Action] = MappingProxyType(
    {
        Category.MINING: Action.REJECT,
        Category.POOL: Action.REJECT,
        Category.TUNNEL: Action.REJECT,
        Category.P2P: Action.ALERT,
        Category.SOLO: Action.REJECT,
        Category.ANOMALY: Action.ALERT,
        Category.RESOLVER: Action.ALERT,
    }
)


PRIVATE_NETWORKS: tuple[Network, ...] = tuple(
    map(
        ip_network,
        (
            *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"),
            *("127.0.0.0/8", "fc00::/7", "fe80::/10", "::1/128"),
        ),
    )
)
"""Where a site's own machines are: RFC 1918, RFC 6598, RFC 3927, RFC 4193 and their like."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with the packet that completed a finding.

    ``block_endpoint`` says that the sandbox may not reach this address and port again for a while.
    It follows from bytes that only a miner and a pool exchange, never from a name: the address
    behind a name may be a CDN's.
    """

    action: Action
    reason: str
    block_endpoint: bool = False

    @property
    def blocks(self) -> bool:
        """Whether the packet must not be delivered."""
        return self.action in (Action.DROP, Action.REJECT)


_GRAVITY = (Action.PASS, Action.ALERT, Action.DROP, Action.REJECT)


def gravity(verdict: Verdict) -> tuple[int, bool]:
    """Return a key that orders verdicts, the gravest last."""
    return _GRAVITY.index(verdict.action), verdict.block_endpoint


@dataclass(frozen=True, slots=True)
class SshPolicy:
    """Where SSH may go: these ports, at these networks (no network named: anywhere)."""

    ports: frozenset[int] = frozenset({22})
    networks: tuple[Network, ...] = ()

    def allows(self, key: FlowKey) -> bool:
        """Tell whether an SSH flow to this responder is expected."""
        if key.resp_port not in self.ports:
            return False
        return not self.networks or within(key.resp_addr, self.networks)


@dataclass(frozen=True, slots=True)
class Policy:
    """A site's answers: ``actions`` by category, ``dns`` for a pool's name in a DNS query.

    ``nodes`` are the networks where a blockchain's node may be the site's own: asking it for block
    templates is its operator's business, and only told.
    """

    mode: Mode = Mode.ENFORCE
    actions: Mapping[Category, Action] = field(default=DEFAULT_ACTIONS)
    dns: Action = Action.ALERT
    ssh: SshPolicy = field(default_factory=SshPolicy)
    nodes: tuple[Network, ...] = PRIVATE_NETWORKS
    block_confidence: int = 80

    def judge(self, finding: Finding, key: FlowKey, together: Sum = _NOTHING) -> Verdict:
        """Return the verdict on one finding of the flow ``key``.

        ``together`` is what counts of the flow, this finding included; without it the finding is
        judged alone.
        """
        category = finding.signature.category
        wanted = self.dns if AppProto.DNS in finding.layers else self.actions[category]
        if lenient := self._lenient(category, key, wanted):
            return lenient
        doubt = self._doubt(finding)
        fused = bool(doubt) and counts(finding) and together.reaches(self.block_confidence)
        if doubt and not fused:
            return Verdict(Action.ALERT, self._in_sum(doubt, finding, together))
        reason = _together(together, self.block_confidence) if fused else finding.detail
        if self.mode is Mode.OBSERVE:
            return Verdict(Action.ALERT, f"observe mode; enforce would {wanted}: {reason}")
        if fused:
            named = not together.without(Kind.NAME).reaches(self.block_confidence)
            return Verdict(wanted, reason, block_endpoint=not named)
        # Behind a name, or a path of somebody's web server, there may be more than what was found.
        shared = category in _SHARED
        return Verdict(wanted, f"conclusive: {reason}", block_endpoint=not shared)

    def _lenient(self, category: Category, key: FlowKey, wanted: Action) -> Verdict | None:
        """Return the verdict where the site has nothing blocked, however sure the finding is."""
        if category is Category.TUNNEL and self.ssh.allows(key):
            return Verdict(Action.PASS, f"ssh to port {key.resp_port} is allowed by policy")
        if wanted in (Action.PASS, Action.ALERT):
            return Verdict(wanted, f"policy for {category} is {wanted}")
        if category is Category.SOLO and within(key.resp_addr, self.nodes):
            return Verdict(Action.ALERT, "the node may be the site's own, by its address")
        return None

    def _doubt(self, finding: Finding) -> str:
        """Return why a finding is not conclusive, or nothing if it is."""
        if finding.signature.maturity is not Maturity.STABLE:
            return f"signature is {finding.signature.maturity}; only stable ones block"
        if finding.confidence < self.block_confidence:
            return f"confidence {finding.confidence} is under {self.block_confidence}"
        return ""

    def _in_sum(self, doubt: str, finding: Finding, together: Sum) -> str:
        """Say of a doubtful finding also that what it was added to is too little."""
        if not counts(finding) or len(together.parts) < _SEVERAL:
            return doubt
        return f"{doubt}, and so is {_together(together, self.block_confidence)}"


def within(address: bytes, networks: tuple[Network, ...]) -> bool:
    """Tell whether a packed address is in one of the networks."""
    ip = ip_address(address)
    return any(ip in network for network in networks)


def _together(together: Sum, needed: int) -> str:
    kinds = " + ".join(f"{part.finding.kind} {part.confidence}" for part in together.parts)
    return f"together {together.confidence} of {needed} needed: {kinds}"
