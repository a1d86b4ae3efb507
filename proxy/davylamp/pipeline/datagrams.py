"""The flows of datagrams that something was told of, so that each is told of once.

Strategy: UDP has no beginning or end, and most flows are never told of. So nothing is kept until
something is found; from then on what two ends exchange on the same ports is one flow, for as long
as the kernel's conntrack takes it for one at least. A resolver's forwarder asks everything from
one port: its flow ends and another begins, so that it is told of again.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from davylamp.flow import FlowKey
from davylamp.fusion import Suspicion

LIFE = 30.0
"""Seconds that a flow lasts (the kernel's ``nf_conntrack_udp_timeout`` by default)."""
CAPACITY = 1_024
"""Flows that are remembered; the one begun longest ago is forgotten first."""


@dataclass(frozen=True, slots=True)
class DatagramFlow:
    """One flow, and what was told of it; ``begin`` is in seconds since the epoch."""

    begin: float
    suspicion: Suspicion = field(default_factory=Suspicion)


class DatagramFlows:
    """At most ``CAPACITY`` flows, in the order in which they began."""

    __slots__ = ("_flows",)

    def __init__(self) -> None:
        self._flows: OrderedDict[FlowKey, DatagramFlow] = OrderedDict()

    def __len__(self) -> int:
        """Flows remembered now."""
        return len(self._flows)

    def find(self, key: FlowKey, now: float) -> DatagramFlow | None:
        """Return the flow with this key that still lasts."""
        flow = self._flows.get(key)
        # Time that runs backwards, as in merged captures, makes another flow too.
        return flow if flow is not None and 0 <= now - flow.begin < LIFE else None

    def open(self, key: FlowKey, now: float) -> DatagramFlow:
        """Begin a flow, in the place of what had that key."""
        self._flows.pop(key, None)
        flow = self._flows[key] = DatagramFlow(now)
        if len(self._flows) > CAPACITY:
            self._flows.popitem(last=False)
        return flow
