"""What steering (`davylamp.steering`) makes of packets: names bound, answers changed, flows led."""

from dataclasses import dataclass, replace
from itertools import islice

from davylamp.decision import ACCEPT, Decision, Diversion, Fate, NameBinding
from davylamp.flow import FlowKey
from davylamp.flowtable import Flow
from davylamp.incident import tls_event
from davylamp.inspection.wire.dns import DNS_PORT, DnsMessage, RecordType
from davylamp.inspection.wire.dns_ech import without_ech
from davylamp.inspection.wire.tls import ClientHello
from davylamp.keyless import KeylessAnswers
from davylamp.packet import Packet
from davylamp.rewriting import with_payload
from davylamp.steering import MAX_BINDINGS, Bindings, SteeringPolicy

_PORT = DNS_PORT.to_bytes(2, "big")
MAX_PACKET_BINDINGS = 4 * MAX_BINDINGS
"""Bindings that one packet may make: one of 64 KiB brings hundreds of answers over TCP."""
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

    def asks(self, endpoint: bytes) -> bool:
        """Tell whether an endpoint (address, port) is a resolver's of the site."""
        return endpoint[-2:] == _PORT and endpoint[:-2] in self.policy.resolvers

    def bound(self, flow: Flow) -> tuple[NameBinding, ...]:
        """Return what the answers bind that a flow's packet has just brought to their end.

        At most `MAX_PACKET_BINDINGS`. A trusted name whose binding is left out goes through the
        proxies.
        """
        found: dict[NameBinding, None] = {}
        for message in flow.inspector.take_answers():
            found.update(dict.fromkeys(self.policy.bindings(message, flow.key)))
            if len(found) >= MAX_PACKET_BINDINGS:
                break
        return tuple(islice(found, MAX_PACKET_BINDINGS))

    def keyless(
        self, decision: Decision, ip: bytes, packet: Packet, answers: KeylessAnswers | None
    ) -> Decision:
        """Decide on a segment from port 53 as was decided, but without ECH keys in it.

        ``answers`` is what passed before it, where that is known. A segment that may not pass yet
        is dropped; what its answers bind is bound, for they are read but once.
        """
        if not self.enforcing or decision.fate is Fate.DROP or not self.asks(packet.source):
            return decision
        answers = answers or KeylessAnswers()
        if packet.missing:  # what was not captured cannot be changed, nor what follows be placed
            answers.forget()
            return decision
        changed = answers.change(packet.start, packet.payload)
        if changed is None:
            return replace(decision, fate=Fate.DROP)
        if changed == packet.payload:
            return decision
        return replace(decision, replacement=with_payload(ip, changed))

    def vouches(self, key: FlowKey, hello: ClientHello) -> bool:
        """Tell whether a flow asks for a trusted name where that was said to be."""
        return self.policy.vouches(key, hello, self.bindings)

    def steer(self, flow: Flow, hello: ClientHello, now: float) -> Diversion | None:
        """Note what a flow's hello says of it; return where its next attempt goes, if it must end.

        A flow is trusted where all it carries is between its sandbox and a trusted server: only
        where TLS is its own protocol, for within a tunnel the hello says nothing of the other end.
        """
        key = flow.key
        flow.steered = True
        vouched = self.vouches(key, hello)
        flow.trusted = vouched and flow.inspector.is_tls
        why = "" if vouched or not self.enforcing else self.policy.objection(key, hello)
        if not why:
            return None
        event = tls_event(key, flow.begin, now, hello, diversion=why)
        return Diversion(key.orig_addr, key.resp_addr, key.resp_port, event)
