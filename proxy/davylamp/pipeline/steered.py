"""What steering (`davylamp.steering`) makes of packets: names bound, answers changed, flows led."""

from dataclasses import dataclass

from davylamp.decision import ACCEPT, Decision, Diversion, Fate
from davylamp.flow import FlowKey
from davylamp.flowtable import Flow
from davylamp.incident import tls_event
from davylamp.inspection.wire.dns import DnsMessage, RecordType
from davylamp.inspection.wire.dns_ech import without_ech
from davylamp.inspection.wire.tls import ClientHello
from davylamp.rewriting import with_payload
from davylamp.steering import Bindings, SteeringPolicy

_WITH_KEYS = frozenset({RecordType.SVCB, RecordType.HTTPS})


@dataclass(frozen=True, slots=True)
class Steering:
    """A site's steering and what is known of names given out.

    ``enforcing`` says whether packets are changed and flows refused, or only names bound.
    """

    policy: SteeringPolicy
    bindings: Bindings
    enforcing: bool = True

    def answer(self, ip: bytes, payload: bytes, message: DnsMessage, key: FlowKey) -> Decision:
        """Decide on the packet of a DNS answer to a sandbox, ``key``'s originator."""
        bindings = self.policy.bindings(message, key)
        replacement = None
        if self.enforcing and any(one.type in _WITH_KEYS for one in message.answers):
            changed = without_ech(payload)
            replacement = with_payload(ip, changed) if changed is not None else None
        if not bindings and replacement is None:
            return ACCEPT
        return Decision(Fate.ACCEPT, bindings=bindings, replacement=replacement)

    def trusts(self, flow: Flow, hello: ClientHello) -> bool:
        """Tell whether all that a flow carries is between its sandbox and a trusted server.

        Only where TLS is the flow's own protocol: within a tunnel the hello says nothing of who is
        at the other end.
        """
        return flow.inspector.is_tls and self.policy.vouches(flow.key, hello, self.bindings)

    def diversion(self, flow: Flow, hello: ClientHello, now: float) -> Diversion | None:
        """Return where a flow's next attempt goes, if this one must be refused."""
        if not self.enforcing:
            return None
        key = flow.key
        why = self.policy.objection(key, hello, self.bindings)
        if not why:
            return None
        event = tls_event(key, flow.begin, now, hello, diversion=why)
        return Diversion(key.orig_addr, key.resp_addr, key.resp_port, event)
