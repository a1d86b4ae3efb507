"""One conversation through the inspection and the policy that a gateway has."""

from collections.abc import Iterable
from dataclasses import dataclass

from davylamp.accuracy.delivery import Segment
from davylamp.flow import Direction, FlowKey, Proto
from davylamp.fusion import Suspicion
from davylamp.incident import Reporter, Sighting
from davylamp.inspection.inspector import Inspector
from davylamp.policy import Policy
from davylamp.signatures.model import SignatureId
from davylamp.signatures.pack import Pack

MINING = frozenset({"mining", "pool", "solo"})
"""Categories of which an alert on anything that is no mining is a false alarm.

A chain's peers talking to each other (``p2p``), a tunnel or an anomaly is just that.
"""

# Not a port that policy knows anything about.
_FLOW = FlowKey(Proto.TCP, bytes((10, 88, 0, 5)), 40_000, bytes((203, 0, 113, 7)), 3333)
_ALERTS_PER_FLOW = 32


@dataclass(frozen=True, slots=True)
class Told:
    """One alert: its ``at`` is how many bytes of its direction had come when it was raised."""

    signature: SignatureId
    category: str
    direction: Direction
    at: int
    blocked: bool


class Judge:
    """Judges conversations, each as a flow of its own, by one pack and one policy."""

    def __init__(self, pack: Pack, policy: Policy) -> None:
        self._pack = pack
        self._reporter = Reporter(policy, pack.version, _ALERTS_PER_FLOW)

    def hear(self, segments: Iterable[Segment]) -> tuple[Told, ...]:
        """Return the alerts on a conversation, in order; each signature alerts once."""
        inspector = Inspector(self._pack)
        told: list[Told] = []
        suspicion = Suspicion()
        received = dict.fromkeys(Direction, 0)
        for now, (direction, data) in enumerate(segments):
            received[direction] += len(data)
            found = inspector.receive(direction, data, now / 100)
            if not found:
                continue
            sighting = Sighting(_FLOW, 0.0, now / 100, inspector.app_proto, inspector.hello)
            alerts, verdict = self._reporter.report(found, sighting, suspicion)
            told += [
                Told(
                    SignatureId(alert.alert.signature_id),
                    alert.alert.category,
                    direction,
                    received[direction],
                    verdict.blocks,
                )
                for alert in alerts
            ]
        return tuple(told)
