"""Which inner address a host's translated flow is of, and how sure that is. Pure.

Behind a host that translates (masquerades) its containers' addresses, only the host's own address
and a port are seen. Ports come round again, so a translation counts for a time only: from when the
host's agent knew of it until it knew that it had ended. What has not ended counts as long as the
agent goes on watching without a gap, which it confirms about twice a second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from davylamp.attribution.model import address_on
from davylamp.events import Struct

SLACK = 2.0
"""Seconds by which the clocks of an agent and a gateway, and an event's way, may differ."""
CLOCKS = 1.0
"""Seconds by which an agent must have seen further: the next flow's begin might be on its way."""
_QUIET = 8.0
"""So long before a flow's end, in seconds, it was that flow, whatever events and clocks may lag."""
SOURCE = "agent:"
"""What the name of a host has before it where it is the source of lineage."""


class Flow(NamedTuple):
    """A flow as it is seen beyond the host. ``proto`` is ``tcp`` or ``udp``; addresses are text."""

    proto: str
    source: str
    source_port: int
    destination: str
    destination_port: int

    def __str__(self) -> str:
        """Return it as it stands in a key: addresses are canonical, so each flow has one text."""
        return (
            f"{self.proto}/{self.source}/{self.source_port}"
            f"/{self.destination}/{self.destination_port}"
        )


class Translation(Struct, frozen=True, kw_only=True):
    """Whose a flow is: the inner address and port, on which host, and while when (epoch).

    ``watch`` names the uninterrupted watch of the agent that saw it, by its begin. ``until`` is
    None while the flow lives.
    """

    host: str
    ip: str
    port: int
    since: float
    watch: float
    until: float | None = None

    @property
    def address(self) -> str:
        """The inner address as lineage has it: the host's own."""
        return address_on(self.host, self.ip)


class Agent(Struct, frozen=True, kw_only=True):
    """An agent: its host's addresses, since when it watches without a gap, and until when.

    All that it saw until ``seen`` is published. Times are seconds since the epoch. ``id`` is of
    the process, and tells two of one name apart.
    """

    name: str
    id: str
    addresses: tuple[str, ...]
    watch: float
    seen: float


@dataclass(frozen=True, slots=True)
class Chosen:
    """The translation that a flow had, or why there is none."""

    translation: Translation | None = None
    reason: str = ""


def choose(
    translations: Sequence[Translation], agents: Mapping[str, Agent], host: str, at: float
) -> Chosen:
    """Say which of a flow's translations it had at a time, when a packet of it was seen.

    ``host`` is whose address the flow has. The newest that was known by then is it, once the agent
    has seen further. How long ago the flow began says nothing: the kernel was seen to give a port
    to another container 3 s after its flow's end, while timeouts (nf_conntrack-sysctl.rst) are 10 s
    and more.
    """
    known = [each for each in translations if each.since - SLACK <= at]
    latest = max(known, key=lambda each: each.since, default=None)
    if latest is None or (latest.until is not None and at > latest.until + SLACK):
        return Chosen(reason=f"the agent on {host} knows of no such flow")
    agent = agents.get(latest.host)
    watched = agent is not None and agent.watch == latest.watch and agent.seen >= at + CLOCKS
    past = latest.until is not None and at <= latest.until - _QUIET  # and nobody else's till then
    if not (watched or past):
        return Chosen(reason=f"the agent on {latest.host} was not watching then")
    return Chosen(latest)
